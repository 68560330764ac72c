"""`oidc/key/*`: the keys that sign identity tokens and ID tokens."""

from dataclasses import dataclass, replace

from vault import limits
from vault.crypto.jws import ALGORITHMS, KeyPair
from vault.errors import InvalidRequest
from vault.logical.args import STRING, TTL, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response
from vault.modules.identity.oidc.keys import Supply, make_pairs, rotate, start
from vault.modules.identity.oidc.rows import CLIENTS, DEFAULT, KEYS, ROLES, NamedKey
from vault.modules.identity.oidc.table import ITEMS, Named, list_changes, refuse_referenced, resource_paths
from vault.storage.view import View

_ROTATION_SECONDS_MIN = 60
_PERIODS_MAX = 10  # of rotation that a retired key may be checked against


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteKey(Named):
    """The fields of a key; absent ones keep their value."""

    rotation_period_seconds: int | None = arg(TTL, "How often a new key pair is used.", default=None, wire="rotation_period")
    verification_ttl_seconds: int | None = arg(
        TTL, "How long tokens can be checked after their key was replaced.", default=None, wire="verification_ttl"
    )
    algorithm: str | None = arg(STRING, f"One of {', '.join(ALGORITHMS)}.", default=None)
    allowed_client_ids: tuple[str, ...] | None = arg(ITEMS, "Clients that the key may sign for; `*`: all.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateKey(Named):
    """How long the replaced key is good for checking."""

    verification_ttl_seconds: int | None = arg(TTL, "In place of that of the key.", default=None, wire="verification_ttl")


def key_paths() -> tuple[Path, ...]:
    """Return the table."""
    return (
        path(
            "oidc/key/{name}/rotate",
            help="Sign with a new key pair from now on.",
            update=Endpoint(handler=rotate_key, args=RotateKey, prepare=_foresee_rotation),
        ),
        *resource_paths("key", KEYS, read=read_key, write=write_key, write_args=WriteKey, delete=delete_key, prepare=_foresee_key),
    )


def read_key(context: SystemContext, args: Named) -> Response | None:
    """Answer what a key is for; never the key."""
    key = KEYS.find(context.storage, args.name)
    if key is None:
        return None
    data = {
        "algorithm": key.algorithm,
        "allowed_client_ids": key.allowed_client_ids,
        "rotation_period": key.rotation_period_seconds,
        "verification_ttl": key.verification_ttl_seconds,
    }
    return Response(data=data)


def _foresee_key(context: SystemContext, args: WriteKey) -> tuple[KeyPair, ...]:
    key = KEYS.find(context.storage, args.name)
    algorithm = args.algorithm or (NamedKey() if key is None else key).algorithm
    needed = algorithm in ALGORITHMS and (key is None or key.algorithm != algorithm)
    return make_pairs(algorithm, 2) if needed else ()


def write_key(context: SystemContext, args: WriteKey) -> None:
    """Make or change a key; another algorithm replaces its pairs."""
    storage, now = context.storage, context.now
    known = KEYS.find(storage, args.name)
    current = known or NamedKey()
    key = replace(current, **list_changes(args))
    _check(key)
    if known is not None:
        _check_referrers(storage, args.name, key)
    if known is None or key.algorithm != known.algorithm:
        _check_room(key, now)
        key = start(key, Supply(context.prepared), now)
    elif key.signing is not None:
        key = replace(key, rotates_at=min(key.rotates_at, now + key.rotation_period_seconds))
    KEYS.put(storage, args.name, key)


def _check(key: NamedKey) -> None:
    if key.rotation_period_seconds < _ROTATION_SECONDS_MIN:
        raise InvalidRequest("rotation_period must be at least one minute")
    if key.verification_ttl_seconds > _PERIODS_MAX * key.rotation_period_seconds:
        raise InvalidRequest(f"verification_ttl cannot be longer than {_PERIODS_MAX}x rotation_period")
    if key.algorithm not in ALGORITHMS:
        raise InvalidRequest(f'unknown signing algorithm "{key.algorithm[:20]}"')


def _check_room(key: NamedKey, now: float) -> None:
    """Refuse more pairs than anybody could want to check against; raises InvalidRequest."""
    if sum(retired.expires_at > now for retired in key.retired) >= limits.OIDC_RETIRED_MAX:
        raise InvalidRequest(f"the key has {limits.OIDC_RETIRED_MAX} replaced pairs whose verification time is not over")


def _check_referrers(storage: View, name: str, key: NamedKey) -> None:
    """Refuse to make tokens outlive the check of their signature."""
    seconds = key.verification_ttl_seconds
    roles, clients = ROLES.list_referrers(storage), CLIENTS.list_referrers(storage)
    too_long = (
        ("roles with a token ttl", (role.ttl_seconds for _, role in roles if role.key == name)),
        ("clients with an id_token_ttl", (client.id_token_ttl_seconds for _, client in clients if client.key == name)),
    )
    for what, times in too_long:
        if any(ttl_seconds > seconds for ttl_seconds in times):
            raise InvalidRequest(
                f'unable to update key "{name}" because it is currently referenced by one or more {what} greater than {seconds} seconds'
            )


def _foresee_rotation(context: SystemContext, args: RotateKey) -> tuple[KeyPair, ...]:
    key = KEYS.find(context.storage, args.name)
    return () if key is None else make_pairs(key.algorithm, 1 if key.following else 2)


def rotate_key(context: SystemContext, args: RotateKey) -> None:
    """Replace the pair of a key."""
    key = KEYS.find(context.storage, args.name)
    if key is None:
        raise InvalidRequest(f'no named key found at "{args.name}"')
    _check_room(key, context.now)
    KEYS.put(context.storage, args.name, rotate(key, Supply(context.prepared), context.now, args.verification_ttl_seconds))


def delete_key(context: SystemContext, args: Named) -> None:
    """Delete a key that nobody refers to; a missing one is no error."""
    if args.name == DEFAULT:
        raise InvalidRequest(f'deletion of key "{DEFAULT}" not allowed')
    storage, name = context.storage, args.name
    KEYS.find(storage, name)  # before its referrers: who comes between is noticed
    refuse_referenced("key", name, [role for role, row in ROLES.list_referrers(storage) if row.key == name], "roles")
    refuse_referenced("key", name, [client for client, row in CLIENTS.list_referrers(storage) if row.key == name], "clients")
    KEYS.delete(storage, name)
