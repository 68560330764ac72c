"""Identity tokens: `oidc/config`, `oidc/role/*`, `oidc/token/*`, `oidc/introspect` and the public documents about them."""

from dataclasses import dataclass, replace
from typing import Any

from vault import limits
from vault.crypto.jws import ALGORITHMS, KeyPair, find_payload
from vault.crypto.random import random_base62
from vault.errors import InvalidRequest
from vault.logical import json
from vault.logical.args import SECRET, STRING, TTL, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, Shape
from vault.modules.identity.oidc.claims import make_payload
from vault.modules.identity.oidc.issuer import WARNING, Issuers, check_issuer
from vault.modules.identity.oidc.keys import foresee, require_signer, require_started
from vault.modules.identity.oidc.person import People
from vault.modules.identity.oidc.rows import CONFIG, KEYS, ROLES, Config, NamedKey, Role
from vault.modules.identity.oidc.table import Named, list_changes, resource_paths
from vault.modules.identity.oidc.template import TEMPLATE, check_template, read_claims
from vault.secret import Secret
from vault.storage.view import View

_CLIENT_ID_CHARACTERS = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteConfig:
    """The fields of the configuration."""

    issuer: str | None = arg(STRING, "Scheme, host and port of the issuer; empty: api_addr.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRole(Named):
    """The fields of a role; absent ones keep their value."""

    key: str | None = arg(STRING, "The key that signs.", default=None)
    template: str | None = arg(TEMPLATE, "Claims as JSON with placeholders, or the base64 of it.", default=None)
    ttl_seconds: int | None = arg(TTL, "How long tokens are valid.", default=None, wire="ttl")
    client_id: str | None = arg(STRING, "The audience of the tokens; chosen at random if none is given.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrospectArgs:
    """What is to be checked."""

    token: Secret = arg(SECRET, "The identity token.", default=Secret(""))
    client_id: str = arg(STRING, "The audience that it must have.", default="")


def public_keys_response(keys: list[NamedKey], now: float) -> Response:
    """Answer the public keys, which may be kept for as long as a rotation of one of them leaves them enough."""
    shown = [public for key in keys for public in key.list_public(now)]
    keep_seconds = min((min(key.rotation_period_seconds, key.verification_ttl_seconds) for key in keys), default=0)
    headers = {"Cache-Control": f"max-age={min(keep_seconds, limits.DISCOVERY_SECONDS)}"} if shown and keep_seconds else {}
    return Response(data={"keys": shown}, headers=headers)


class TokenPaths:
    """Handlers of identity tokens."""

    def __init__(self, people: People, issuers: Issuers, *, unreachable: bool) -> None:
        self._people = people
        self._issuers = issuers
        self._unreachable = unreachable

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path(
                "oidc/config",
                help="Configure identity tokens.",
                read=Endpoint(handler=self.read_config),
                update=Endpoint(handler=write_config, args=WriteConfig),
            ),
            *resource_paths(
                "role", ROLES, read=read_role, write=write_role, write_args=WriteRole, delete=delete_role, prepare=_foresee_default
            ),
            path("oidc/token/{name}", help="Make an identity token.", read=Endpoint(handler=self.make_token, args=Named)),
            path(
                "oidc/introspect",
                help="Check an identity token.",
                shape=Shape.BARE,
                update=Endpoint(handler=self.introspect, args=IntrospectArgs),
            ),
            path(
                "oidc/.well-known/openid-configuration",
                help="Describe the issuer of identity tokens.",
                shape=Shape.BARE,
                read=Endpoint(handler=self.describe, public=True),
            ),
            path(
                "oidc/.well-known/keys",
                help="Show the public keys of identity tokens.",
                shape=Shape.BARE,
                read=Endpoint(handler=list_public_keys, public=True),
            ),
        )

    def read_config(self, context: SystemContext, _: Any) -> Response:
        """Answer the configuration."""
        issuer = self._issuers.config(context.storage).issuer
        warning = 'Both "issuer" and "api_addr" are empty. The issuer claim in generated tokens will not be network reachable.'
        return Response(data={"issuer": issuer}, warnings=(warning,) if self._unreachable and not issuer else ())

    def make_token(self, context: SystemContext, args: Named) -> Response:
        """Answer a token about the entity of the caller."""
        storage, caller = context.storage, context.token
        role = ROLES.find(storage, args.name)
        if role is None:
            raise InvalidRequest(f'role "{args.name}" not found')
        key = KEYS.find(storage, role.key)
        if key is None:
            raise InvalidRequest(f'key "{role.key}" not found')
        if not key.allows(role.client_id):
            raise InvalidRequest(f'the key "{role.key}" does not list the client ID of the role "{args.name}" as an allowed client ID')
        person = self._people.find_person(context.transaction, caller.entity_id) if caller and caller.entity_id else None
        if person is None:
            raise InvalidRequest("no entity associated with the request's token")
        payload = make_payload(
            issuer=self._issuers.of_tokens(storage),
            subject=person.id,
            audience=role.client_id,
            now=context.now,
            ttl_seconds=role.ttl_seconds,
            more=(read_claims(role.template, person, context.now),),
        )
        token = require_signer(storage, role.key).sign(payload)
        return Response(data={"client_id": role.client_id, "token": token, "ttl": role.ttl_seconds})

    def introspect(self, context: SystemContext, args: IntrospectArgs) -> Response:
        """Answer whether a token is valid now, and its entity may still do something."""
        problem = self._find_problem(context, args)
        return Response(data={"active": False, "error": problem} if problem else {"active": True})

    def _find_problem(self, context: SystemContext, args: IntrospectArgs) -> str:
        keys = (public for key in _list_used_keys(context.storage) for public in key.list_public(context.now))
        try:
            payload = find_payload(args.token.reveal(), keys)
        except ValueError as error:
            return f"error parsing token: {error}"
        if payload is None:
            return "unable to validate the token signature"
        claims = json.decode_object(payload)
        audience = claims["aud"]
        checks = (
            (claims["iss"] == self._issuers.of_tokens(context.storage), "issuer claim (iss)"),
            (not args.client_id or args.client_id == audience, "audience claim (aud)"),
            (claims["exp"] > context.now, "token is expired (exp)"),
        )
        for holds, what in checks:
            if not holds:
                return f"error validating claims: invalid {what}"
        person = self._people.find_person(context.transaction, claims["sub"])
        if person is None:
            return "entity was not found"
        return "entity is disabled" if person.disabled else ""

    def describe(self, context: SystemContext, _: Any) -> Response:
        """Answer the discovery document."""
        issuer = self._issuers.of_tokens(context.storage)
        document = {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/.well-known/keys",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": list(ALGORITHMS),
        }
        return Response(data=document, headers={"Cache-Control": f"max-age={limits.DISCOVERY_SECONDS}"})


def write_config(context: SystemContext, args: WriteConfig) -> Response | None:
    """Set the issuer."""
    if args.issuer is None:
        return None
    check_issuer(args.issuer)
    CONFIG.put(context.storage, "config", Config(issuer=args.issuer))
    return Response(warnings=(WARNING,)) if args.issuer else None


def read_role(context: SystemContext, args: Named) -> Response | None:
    """Answer a role."""
    role = ROLES.find(context.storage, args.name)
    if role is None:
        return None
    return Response(data={"client_id": role.client_id, "key": role.key, "template": role.template, "ttl": role.ttl_seconds})


def _foresee_default(context: SystemContext, args: WriteRole) -> tuple[KeyPair, ...]:
    return foresee(context.storage, args.key) if args.key else ()


def write_role(context: SystemContext, args: WriteRole) -> None:
    """Make or change a role."""
    storage = context.storage
    role = replace(ROLES.find(storage, args.name) or Role(), **list_changes(args))
    if not role.key:
        raise InvalidRequest("the key parameter is required")
    check_template(role.template)
    key = require_started(storage, role.key, context.prepared, context.now)
    if key is None:
        raise InvalidRequest(f'cannot find key "{role.key}"')
    if role.ttl_seconds > key.verification_ttl_seconds:
        raise InvalidRequest("a role's token ttl cannot be longer than the verification_ttl of the key it references")
    if not role.client_id:
        role = replace(role, client_id=random_base62(_CLIENT_ID_CHARACTERS))
    ROLES.put(storage, args.name, role)


def delete_role(context: SystemContext, args: Named) -> None:
    """Delete a role; a missing one is no error."""
    ROLES.delete(context.storage, args.name)


def _list_used_keys(storage: View) -> list[NamedKey]:
    """Return the keys of all roles."""
    names = dict.fromkeys(role.key for _, role in ROLES.list_rows(storage))
    return [key for key in (KEYS.find(storage, name) for name in names) if key is not None]


def list_public_keys(context: SystemContext, _: Any) -> Response:
    """Answer the public keys of identity tokens."""
    return public_keys_response(_list_used_keys(context.storage), context.now)
