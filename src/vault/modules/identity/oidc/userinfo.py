"""What relying parties read: `oidc/provider/{name}/userinfo` with an access token, and the public documents of a provider.

`userinfo` is public for the pipeline, because OAuth wants refusals in its own words. It takes access tokens and nothing else.
"""

from typing import Any

from vault import limits
from vault.crypto.jws import ALGORITHMS
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, Shape
from vault.logical.token import Token
from vault.modules.identity.oidc.audience import OPENID, is_assigned, list_supported, read_scope_claims
from vault.modules.identity.oidc.exchange import CLIENT, ENTITY, PROVIDER, SCOPES
from vault.modules.identity.oidc.issuer import Issuers
from vault.modules.identity.oidc.oauth import ACCESS_DENIED, INVALID_REQUEST, INVALID_TOKEN, Refused, answering, refuse_claims
from vault.modules.identity.oidc.person import People
from vault.modules.identity.oidc.rows import ANY, CLIENTS, KEYS, PROVIDERS, Provider, find_client
from vault.modules.identity.oidc.table import Named
from vault.modules.identity.oidc.token_paths import public_keys_response
from vault.storage.view import View


class RelyingPartyPaths:
    """Handlers of what relying parties read."""

    def __init__(self, people: People, issuers: Issuers) -> None:
        self._people = people
        self._issuers = issuers

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        userinfo = Endpoint(handler=answering(self.read_userinfo, refuse_claims), args=Named, public=True, free=True)
        return (
            path(
                "oidc/provider/{name}/userinfo",
                help="Tell about whoever an access token was made for.",
                shape=Shape.BARE,
                read=userinfo,
                update=userinfo,
            ),
            path(
                "oidc/provider/{name}/.well-known/openid-configuration",
                help="Describe a provider.",
                shape=Shape.BARE,
                read=Endpoint(handler=self.describe, args=Named, public=True),
            ),
            path(
                "oidc/provider/{name}/.well-known/keys",
                help="Show the public keys of a provider.",
                shape=Shape.BARE,
                read=Endpoint(handler=list_public_keys, args=Named, public=True),
            ),
        )

    def read_userinfo(self, context: SystemContext, args: Named) -> Response:
        """Answer the claims that the access token was made for, as they are now."""
        storage = context.storage
        provider = PROVIDERS.find(storage, args.name)
        if provider is None:
            raise Refused(INVALID_REQUEST, "provider not found")
        token = _require_access_token(context, args.name)
        client = find_client(storage, token.memory[CLIENT])
        if client is None:
            raise Refused(ACCESS_DENIED, "client not found")
        person = self._people.find_person(context.transaction, token.memory[ENTITY])
        if person is None:
            raise Refused(ACCESS_DENIED, "identity entity associated with the request not found")
        if not is_assigned(storage, client, person):
            raise Refused(ACCESS_DENIED, "identity entity not authorized by client assignment")
        if not provider.allows(client.client_id):
            raise Refused(ACCESS_DENIED, "client is not authorized to use the provider")
        scopes = list_supported(token.memory[SCOPES].split(" "), provider)
        return Response(data={**read_scope_claims(storage, scopes, person, context.now), "sub": person.id})

    def describe(self, context: SystemContext, args: Named) -> Response | None:
        """Answer the discovery document of a provider."""
        provider = PROVIDERS.find(context.storage, args.name)
        if provider is None:
            return None
        headers = {"Cache-Control": f"max-age={limits.DISCOVERY_SECONDS}"}
        return Response(data=_document(self._issuers.of_provider(args.name, provider), provider), headers=headers)


def _document(issuer: str, provider: Provider) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/.well-known/keys",
        # People sign in with the web interface, which asks `authorize` on their behalf.
        "authorization_endpoint": f"{issuer.replace('/v1/', '/ui/vault/', 1)}/authorize",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "id_token_signing_alg_values_supported": list(ALGORITHMS),
        "response_types_supported": ["code"],
        "scopes_supported": [*provider.scopes_supported, OPENID],
        "claims_supported": [],
        "subject_types_supported": ["public"],
        "grant_types_supported": ["authorization_code"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
    }


def _require_access_token(context: SystemContext, provider: str) -> Token:
    token = context.token
    if token is None:
        raise Refused(INVALID_TOKEN, "permission denied")
    if not context.request.is_bearer:
        raise Refused(INVALID_TOKEN, "access token must be sent as a Bearer token")
    if CLIENT not in token.memory:
        raise Refused(INVALID_TOKEN, "access token is malformed or invalid")
    if token.memory[PROVIDER] != provider:
        raise Refused(INVALID_TOKEN, "permission denied")
    return token


def list_public_keys(context: SystemContext, args: Named) -> Response | None:
    """Answer the public keys of the clients of a provider."""
    provider = PROVIDERS.find(context.storage, args.name)
    if provider is None:
        return None
    keys = [KEYS.find(context.storage, name) for name in _list_key_names(context.storage, provider)]
    return public_keys_response([key for key in keys if key is not None], context.now)


def _list_key_names(storage: View, provider: Provider) -> dict[str, None]:
    if ANY in provider.allowed_client_ids:
        return dict.fromkeys(client.key for _, client in CLIENTS.list_rows(storage))
    clients = (find_client(storage, client_id) for client_id in provider.allowed_client_ids)
    return dict.fromkeys(client.key for client in clients if client is not None)
