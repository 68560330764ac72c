"""Secret ids: made, looked at, destroyed, tidied. One is known by itself only to who holds it; here there is a keyed hash of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from vault import limits
from vault.clock import format_rfc3339_nano
from vault.errors import InvalidRequest, NotFound
from vault.logical import json
from vault.logical.args import COUNT, LIST, SECRET, STRING, TTL, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import Context, SystemContext
from vault.logical.page import Page
from vault.logical.response import Response, list_response
from vault.modules.auth.cidr import parse_cidrs
from vault.modules.auth.methods.approle.role import RoleName
from vault.modules.auth.methods.approle.rows import Role, Rows, SecretId, make_uuid
from vault.secret import Secret

_NONE = Secret("")
_ZERO_TIME = "0001-01-01T00:00:00Z"
TIDY_STARTED = "Tidy operation successfully started. Any information from the operation will be printed to Health Vault's server logs."
Sweep = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeArgs(RoleName):
    """What a new secret id is good for."""

    metadata: str = arg(STRING, "String pairs as JSON text; they become metadata of tokens.", default="")
    cidr_list: tuple[str, ...] = arg(LIST, "Addresses from which logins are accepted.", default=())
    token_bound_cidrs: tuple[str, ...] = arg(LIST, "Addresses from which the tokens are accepted.", default=())
    num_uses: int | None = arg(COUNT, "How many logins it is good for; no more than the role says.", default=None)
    ttl: int | None = arg(TTL, "Its life time; no longer than the role says.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomArgs(MakeArgs):
    """A secret id of the caller's choice."""

    secret_id: Secret = arg(SECRET, "The secret id.", default=_NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretIdArgs(RoleName):
    """A secret id by itself."""

    secret_id: Secret = arg(SECRET, "The secret id.", default=_NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessorArgs(RoleName):
    """A secret id by its accessor."""

    secret_id_accessor: str = arg(STRING, "Accessor of the secret id.", default="", query=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessorPage(Page, RoleName):
    """A page of accessors."""


class SecretIdPaths:
    """Handlers of secret ids."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        role = "role/{role_name}"
        return (
            path(
                f"{role}/secret-id",
                help="Make a secret id, or list the accessors of all.",
                list=Endpoint(handler=list_accessors, args=AccessorPage),
                update=Endpoint(handler=make, args=MakeArgs),
            ),
            path(f"{role}/custom-secret-id", help="Make a chosen secret id.", update=Endpoint(handler=make_custom, args=CustomArgs)),
            path(f"{role}/secret-id/lookup", help="Describe a secret id.", update=Endpoint(handler=look_up, args=SecretIdArgs)),
            path(
                f"{role}/secret-id/destroy",
                help="Destroy a secret id.",
                update=Endpoint(handler=destroy, args=SecretIdArgs),
                delete=Endpoint(handler=destroy, args=SecretIdArgs),
            ),
            path(
                f"{role}/secret-id-accessor/lookup",
                help="Describe a secret id by its accessor.",
                update=Endpoint(handler=look_up_accessor, args=AccessorArgs),
            ),
            path(
                f"{role}/secret-id-accessor/destroy",
                help="Destroy a secret id by its accessor.",
                update=Endpoint(handler=destroy_accessor, args=AccessorArgs),
                delete=Endpoint(handler=destroy_accessor, args=AccessorArgs),
            ),
            path("tidy/secret-id", help="Remove expired secret ids, and those of deleted roles.", update=Endpoint(handler=self.tidy)),
        )

    def tidy(self, context: SystemContext, _: Any) -> Response:
        """Clear away at once what the background work would clear away within a minute."""
        prefix = context.mount.storage_prefix
        context.after_commit.append(lambda: self._sweep(prefix))
        return Response(warnings=(TIDY_STARTED,), status=202)


# -- making --------------------------------------------------------------------------------------------------------------


def make(context: Context, args: MakeArgs) -> Response:
    """Make a random secret id."""
    return _make(context, args, make_uuid())


def make_custom(context: Context, args: CustomArgs) -> Response:
    """Make a secret id that the caller chose."""
    text = args.secret_id.reveal()
    if not text:
        raise InvalidRequest("missing secret_id")
    if len(text.encode("utf-8", "replace")) > limits.SECRET_ID_BYTES_MAX:
        raise InvalidRequest("secret_id is too long")
    return _make(context, args, text)


def _make(context: Context, args: MakeArgs, secret_id: str) -> Response:
    rows = Rows(context.storage)
    role = _require(rows, args.role_name, NotFound)
    if not role.bind_secret_id:
        raise InvalidRequest("bind_secret_id is not set on the role")
    uses, ttl_seconds = _choose_limits(role, args)
    cidrs = parse_cidrs(args.cidr_list)
    _require_subset(cidrs, role.secret_id_bound_cidrs or ())
    token_cidrs = parse_cidrs(args.token_bound_cidrs)
    _require_subset(token_cidrs, role.parameters.token_bound_cidrs)
    hashed, present = rows.find_secret_id(role, secret_id)
    if present is not None:
        raise InvalidRequest("1 error occurred:\n\t* failed to store secret_id: SecretID is already registered\n\n")
    secret = SecretId(
        accessor=make_uuid(),
        created_ns=context.now_ns,
        updated_ns=context.now_ns,
        expires_ns=context.now_ns + ttl_seconds * 10**9 if ttl_seconds else None,
        ttl_seconds=ttl_seconds,
        uses_left=uses or None,
        cidr_list=cidrs,
        token_bound_cidrs=token_cidrs,
        metadata=_parse_metadata(args.metadata),
    )
    rows.put_secret_id(role, hashed, secret)
    return Response(
        data={
            "secret_id": secret_id,
            "secret_id_accessor": secret.accessor,
            "secret_id_num_uses": uses,
            "secret_id_ttl": ttl_seconds,
        }
    )


def _choose_limits(role: Role, args: MakeArgs) -> tuple[int, int]:
    """Return uses and life time: what is asked for, within what the role says; where it says nothing, zero is without end."""
    chosen = []
    for asked, bound, field, own in (
        (args.num_uses, role.secret_id_num_uses, "num_uses", "secret_id_num_uses"),
        (args.ttl, role.secret_id_ttl, "ttl", "secret_id_ttl"),
    ):
        if asked is not None and bound and (asked == 0 or asked > bound):
            raise InvalidRequest(f"{field} cannot be {'higher' if field == 'num_uses' else 'longer'} than the role's {own}")
        chosen.append(bound if asked is None else asked)
    return chosen[0], chosen[1]


def is_subset(cidrs: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    """Return whether all blocks lie within others; no others leave everything open."""
    if not outer or not cidrs:
        return True
    networks = [ip_network(cidr, strict=False) for cidr in outer]
    inner = [ip_network(cidr, strict=False) for cidr in cidrs]
    return all(
        any(one.version == network.version and one.subnet_of(network) for network in networks)  # type: ignore[arg-type]  # of one version
        for one in inner
    )


def _require_subset(cidrs: tuple[str, ...], outer: tuple[str, ...]) -> None:
    if not is_subset(cidrs, outer):
        raise InvalidRequest("failed to verify subset relationship between CIDR blocks on the role and CIDR blocks on the secret ID")


def _parse_metadata(text: str) -> dict[str, str] | None:
    if not text:
        return None
    try:
        pairs: object = json.decode(text.encode())
    except (ValueError, InvalidRequest):
        pairs = None
    if not isinstance(pairs, Mapping) or not all(isinstance(value, str) for value in pairs.values()):
        raise InvalidRequest("failed to parse metadata: expected an object of strings")
    if len(text.encode()) > limits.SECRET_ID_METADATA_BYTES_MAX:
        raise InvalidRequest("failed to parse metadata: too long")
    return dict(pairs)


# -- looking and destroying --------------------------------------------------------------------------------------------------


def _require(rows: Rows, name: str, missing: type[NotFound] | type[InvalidRequest] = InvalidRequest) -> Role:
    role = rows.find_role(name)
    if role is None:
        raise missing(f'role "{name}" does not exist')
    return role


def _require_named(args: SecretIdArgs) -> str:
    if not args.secret_id:
        raise InvalidRequest("missing secret_id")
    return args.secret_id.reveal()


def _require_accessor(args: AccessorArgs) -> str:
    if not args.secret_id_accessor:
        raise InvalidRequest("missing secret_id_accessor")
    return args.secret_id_accessor


def _describe(secret: SecretId) -> Response:
    return Response(
        data={
            "secret_id_accessor": secret.accessor,
            "secret_id_num_uses": secret.uses_left or 0,
            "secret_id_ttl": secret.ttl_seconds,
            "creation_time": format_rfc3339_nano(secret.created_ns),
            "last_updated_time": format_rfc3339_nano(secret.updated_ns),
            "expiration_time": _ZERO_TIME if secret.expires_ns is None else format_rfc3339_nano(secret.expires_ns),
            "metadata": secret.metadata or {},
            "cidr_list": list(secret.cidr_list),
            "token_bound_cidrs": list(secret.token_bound_cidrs),
        }
    )


def list_accessors(context: Context, args: AccessorPage) -> Response | None:
    """List the accessors of a role's secret ids."""
    rows = Rows(context.storage)
    role = _require(rows, args.role_name)
    return list_response(rows.list_accessors(role, args.after, args.size))


def look_up(context: Context, args: SecretIdArgs) -> Response | None:
    """Describe a secret id of a role; one that there is not is answered by nothing."""
    rows = Rows(context.storage)
    role = _require(rows, args.role_name)
    _, secret = rows.find_secret_id(role, _require_named(args))
    return None if secret is None or secret.is_expired(context.now_ns) else _describe(secret)


def look_up_accessor(context: Context, args: AccessorArgs) -> Response:
    """Describe the secret id of a role that has this accessor."""
    rows = Rows(context.storage)
    role = _require(rows, args.role_name)
    return _describe(_require_by_accessor(context, rows, role, _require_accessor(args))[1])


def destroy(context: Context, args: SecretIdArgs) -> None:
    """Destroy a secret id of a role; one that there is not is no error."""
    rows = Rows(context.storage)
    role = _require(rows, args.role_name)
    hashed, secret = rows.find_secret_id(role, _require_named(args))
    if secret is not None:
        rows.delete_secret_id(role, hashed, secret)


def destroy_accessor(context: Context, args: AccessorArgs) -> None:
    """Destroy the secret id of a role that has this accessor; those of other roles stay."""
    rows = Rows(context.storage)
    role = _require(rows, args.role_name)
    hashed, secret = _require_by_accessor(context, rows, role, _require_accessor(args))
    rows.delete_secret_id(role, hashed, secret)


def _require_by_accessor(context: Context, rows: Rows, role: Role, accessor: str) -> tuple[str, SecretId]:
    found = rows.find_by_accessor(role, accessor)
    if found is None or found[1].is_expired(context.now_ns):
        raise NotFound("failed to find accessor entry for secret_id_accessor")
    return found
