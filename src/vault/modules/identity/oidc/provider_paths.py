"""What the OIDC provider is made of: `oidc/scope/*`, `oidc/assignment/*`, `oidc/client/*` and `oidc/provider/*`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vault.crypto.jws import KeyPair
from vault.crypto.random import random_base62
from vault.errors import InvalidRequest
from vault.logical.args import BOOL, STRING, TTL, arg
from vault.logical.backend import Path
from vault.logical.context import SystemContext
from vault.logical.response import Response, list_response
from vault.modules.identity.oidc.audience import OPENID
from vault.modules.identity.oidc.issuer import WARNING, Issuers, check_issuer
from vault.modules.identity.oidc.keys import foresee, require_started
from vault.modules.identity.oidc.rows import (
    ALLOW_ALL,
    ASSIGNMENTS,
    CLIENT_NAMES,
    CLIENTS,
    DEFAULT,
    PROVIDERS,
    SCOPES,
    Assignment,
    Client,
    Provider,
    Scope,
)
from vault.modules.identity.oidc.table import SET, Named, list_changes, refuse_referenced, resource_paths
from vault.modules.identity.oidc.template import TEMPLATE, check_template, list_claims
from vault.storage.view import View

CONFIDENTIAL, PUBLIC = "confidential", "public"
SECRET_PREFIX = "hvo_secret_"  # noqa: S105 - how secrets are recognised, not one of them
_CLIENT_ID_CHARACTERS = 32
_SECRET_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteScope(Named):
    """The fields of a scope; absent ones keep their value."""

    template: str | None = arg(TEMPLATE, "Claims as JSON with placeholders, or the base64 of it.", default=None)
    description: str | None = arg(STRING, "What the scope is for.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteAssignment(Named):
    """The fields of an assignment; absent ones keep their value."""

    entity_ids: tuple[str, ...] | None = arg(SET, "Ids of entities.", default=None)
    group_ids: tuple[str, ...] | None = arg(SET, "Ids of groups.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteClient(Named):
    """The fields of a client; absent ones keep their value."""

    redirect_uris: tuple[str, ...] | None = arg(SET, "Where codes may be sent; one of them must be named exactly.", default=None)
    assignments: tuple[str, ...] | None = arg(SET, "Who may sign in.", default=None)
    key: str | None = arg(STRING, "The key that signs; cannot be changed.", default=None)
    id_token_ttl_seconds: int | None = arg(TTL, "How long ID tokens are valid.", default=None, wire="id_token_ttl")
    access_token_ttl_seconds: int | None = arg(TTL, "How long access tokens are valid.", default=None, wire="access_token_ttl")
    client_type: str | None = arg(STRING, "confidential or public; cannot be changed.", default=None)
    authorization_code: bool | None = arg(BOOL, "Allow people to sign in.", default=None)
    client_credentials: bool | None = arg(BOOL, "Allow the client tokens of its own.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteProvider(Named):
    """The fields of a provider; absent ones keep their value."""

    issuer: str | None = arg(STRING, "Scheme, host and port of the issuer; empty: api_addr.", default=None)
    allowed_client_ids: tuple[str, ...] | None = arg(SET, "Clients that may use the provider; `*`: all.", default=None)
    scopes_supported: tuple[str, ...] | None = arg(SET, "Scopes that clients can ask for.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListProviders:
    """Which ones."""

    allowed_client_id: str = arg(STRING, "Only those that this client may use.", default="", query=True)


class ProviderPaths:
    """Handlers of what an administrator sets up."""

    def __init__(self, issuers: Issuers) -> None:
        self._issuers = issuers

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            *resource_paths("scope", SCOPES, read=read_scope, write=write_scope, write_args=WriteScope, delete=delete_scope),
            *resource_paths(
                "assignment",
                ASSIGNMENTS,
                read=read_assignment,
                write=write_assignment,
                write_args=WriteAssignment,
                delete=delete_assignment,
            ),
            *resource_paths(
                "client",
                CLIENTS,
                read=read_client,
                write=write_client,
                write_args=WriteClient,
                delete=delete_client,
                list_rows=list_clients,
                prepare=_foresee_key,
            ),
            *resource_paths(
                "provider",
                PROVIDERS,
                read=self.read_provider,
                write=write_provider,
                write_args=WriteProvider,
                delete=delete_provider,
                list_rows=self.list_providers,
                list_args=ListProviders,
            ),
        )

    def read_provider(self, context: SystemContext, args: Named) -> Response | None:
        """Answer a provider."""
        provider = PROVIDERS.find(context.storage, args.name)
        return None if provider is None else Response(data=self._describe(args.name, provider))

    def list_providers(self, context: SystemContext, args: ListProviders) -> Response | None:
        """List the providers that a client may use, or all."""
        wanted = args.allowed_client_id
        rows = {name: row for name, row in PROVIDERS.list_rows(context.storage) if not wanted or row.allows(wanted)}
        return list_response(tuple(rows), {name: self._describe(name, row) for name, row in rows.items()})

    def _describe(self, name: str, provider: Provider) -> Mapping[str, Any]:
        return {
            "allowed_client_ids": provider.allowed_client_ids,
            "issuer": self._issuers.of_provider(name, provider),
            "scopes_supported": provider.scopes_supported,
        }


# --- scopes ---------------------------------------------------------------------------------------------------------------


def read_scope(context: SystemContext, args: Named) -> Response | None:
    """Answer a scope."""
    scope = SCOPES.find(context.storage, args.name)
    return None if scope is None else Response(data={"description": scope.description, "template": scope.template})


def write_scope(context: SystemContext, args: WriteScope) -> None:
    """Make or change a scope."""
    if args.name == OPENID:
        raise InvalidRequest(f'the "{OPENID}" scope name is reserved')
    scope = replace(SCOPES.find(context.storage, args.name) or Scope(), **list_changes(args))
    check_template(scope.template)
    SCOPES.put(context.storage, args.name, scope)


def delete_scope(context: SystemContext, args: Named) -> None:
    """Delete a scope that no provider supports; a missing one is no error."""
    SCOPES.find(context.storage, args.name)  # before its referrers: who comes between is noticed
    providers = [name for name, row in PROVIDERS.list_referrers(context.storage) if args.name in row.scopes_supported]
    refuse_referenced("scope", args.name, providers, "providers")
    SCOPES.delete(context.storage, args.name)


# --- assignments ----------------------------------------------------------------------------------------------------------


def read_assignment(context: SystemContext, args: Named) -> Response | None:
    """Answer an assignment."""
    row = ASSIGNMENTS.find(context.storage, args.name)
    return None if row is None else Response(data={"entity_ids": row.entity_ids, "group_ids": row.group_ids})


def write_assignment(context: SystemContext, args: WriteAssignment) -> None:
    """Make or change an assignment."""
    if args.name == ALLOW_ALL:
        raise InvalidRequest(f'modification of assignment "{ALLOW_ALL}" not allowed')
    row = replace(ASSIGNMENTS.find(context.storage, args.name) or Assignment(), **list_changes(args))
    ASSIGNMENTS.put(context.storage, args.name, row)


def delete_assignment(context: SystemContext, args: Named) -> None:
    """Delete an assignment that no client names; a missing one is no error."""
    if args.name == ALLOW_ALL:
        raise InvalidRequest(f'deletion of assignment "{ALLOW_ALL}" not allowed')
    ASSIGNMENTS.find(context.storage, args.name)  # before its referrers, as above
    clients = [name for name, client in CLIENTS.list_referrers(context.storage) if args.name in client.assignments]
    refuse_referenced("assignment", args.name, clients, "clients")
    ASSIGNMENTS.delete(context.storage, args.name)


# --- clients --------------------------------------------------------------------------------------------------------------


def _kind_of(client: Client) -> str:
    return PUBLIC if client.is_public else CONFIDENTIAL


def _describe_client(client: Client) -> dict[str, Any]:
    return {
        "access_token_ttl": client.access_token_ttl_seconds,
        "assignments": client.assignments,
        "authorization_code": client.authorization_code,
        "client_credentials": client.client_credentials,
        "client_id": client.client_id,
        "client_type": _kind_of(client),
        "id_token_ttl": client.id_token_ttl_seconds,
        "key": client.key,
        "redirect_uris": client.redirect_uris,
    }


def read_client(context: SystemContext, args: Named) -> Response | None:
    """Answer a client, with its secret."""
    client = CLIENTS.find(context.storage, args.name)
    if client is None:
        return None
    secret = {} if client.is_public else {"client_secret": client.client_secret}
    return Response(data={**_describe_client(client), **secret})


def list_clients(context: SystemContext, _: Any) -> Response | None:
    """List the clients, without their secrets."""
    rows = dict(CLIENTS.list_rows(context.storage))
    return list_response(tuple(rows), {name: _describe_client(client) for name, client in rows.items()})


def _foresee_key(context: SystemContext, args: WriteClient) -> tuple[KeyPair, ...]:
    return foresee(context.storage, args.key or DEFAULT)


def write_client(context: SystemContext, args: WriteClient) -> None:
    """Make or change a client."""
    storage = context.storage
    known = CLIENTS.find(storage, args.name)
    changes = list_changes(args)
    kind = changes.pop("client_type", None)
    if known is None:
        current = _make_client(kind or CONFIDENTIAL)
    else:
        current = known
        _refuse_changes(known, changes, kind)
    client = replace(current, **changes)
    _check_client(context, client)
    CLIENTS.put(storage, args.name, client)
    if known is None:
        CLIENT_NAMES.put(storage, client.client_id, args.name)


def _make_client(kind: str) -> Client:
    if kind not in (CONFIDENTIAL, PUBLIC):
        raise InvalidRequest(f'invalid client_type "{kind[:20]}"')
    secret = "" if kind == PUBLIC else SECRET_PREFIX + random_base62(_SECRET_CHARACTERS)
    return Client(client_id=random_base62(_CLIENT_ID_CHARACTERS), client_secret=secret)


def _refuse_changes(client: Client, changes: Mapping[str, Any], kind: str | None) -> None:
    if changes.get("key", client.key) != client.key:
        raise InvalidRequest("key modification is not allowed")
    if kind is not None and kind != _kind_of(client):
        raise InvalidRequest("client_type modification is not allowed")


def _check_client(context: SystemContext, client: Client) -> None:
    for assignment in client.assignments:
        if ASSIGNMENTS.hold(context.storage, assignment) is None:
            raise InvalidRequest(f'assignment "{assignment[:100]}" does not exist')
    key = require_started(context.storage, client.key, context.prepared, context.now)
    if key is None:
        raise InvalidRequest(f'key "{client.key[:100]}" does not exist')
    if client.id_token_ttl_seconds > key.verification_ttl_seconds:
        raise InvalidRequest("a client's id_token_ttl cannot be greater than the verification_ttl of the key it references")


def delete_client(context: SystemContext, args: Named) -> None:
    """Delete a client; a missing one is no error."""
    client = CLIENTS.find(context.storage, args.name)
    if client is not None:
        CLIENT_NAMES.delete(context.storage, client.client_id)
    CLIENTS.delete(context.storage, args.name)


# --- providers ------------------------------------------------------------------------------------------------------------


def write_provider(context: SystemContext, args: WriteProvider) -> Response | None:
    """Make or change a provider."""
    provider = replace(PROVIDERS.find(context.storage, args.name) or Provider(), **list_changes(args))
    check_issuer(provider.issuer)
    warnings = ((WARNING,) if provider.issuer else ()) + _check_scopes(context.storage, provider)
    PROVIDERS.put(context.storage, args.name, provider)
    return Response(warnings=warnings) if warnings else None


def _check_scopes(storage: View, provider: Provider) -> tuple[str, ...]:
    """Return warnings about scopes that cannot be asked for together; raises InvalidRequest for one that does not exist."""
    claimed: dict[str, str] = {}
    warnings = []
    for name in provider.scopes_supported:
        scope = SCOPES.hold(storage, name)
        if scope is None:
            raise InvalidRequest(f'scope "{name[:100]}" does not exist')
        for claim in list_claims(scope.template):
            if claim in claimed:
                warnings.append(
                    f'Found scope templates with conflicting top-level keys: conflict "{claim}" in scopes "{name}", "{claimed[claim]}". '
                    "This may result in an error if the scopes are requested in an OIDC Authentication Request."
                )
            claimed[claim] = name
    return tuple(warnings)


def delete_provider(context: SystemContext, args: Named) -> None:
    """Delete a provider; a missing one is no error."""
    if args.name == DEFAULT:
        raise InvalidRequest(f'deletion of OIDC provider "{DEFAULT}" not allowed')
    PROVIDERS.delete(context.storage, args.name)
