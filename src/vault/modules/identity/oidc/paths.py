"""The table of paths below `identity/oidc/`: identity tokens and the OIDC provider."""

from vault.logical.backend import Path
from vault.modules.identity.oidc.authorize import Authorization
from vault.modules.identity.oidc.exchange import Exchange, Tokens
from vault.modules.identity.oidc.issuer import Issuers
from vault.modules.identity.oidc.key_paths import key_paths
from vault.modules.identity.oidc.person import People
from vault.modules.identity.oidc.provider_paths import ProviderPaths
from vault.modules.identity.oidc.token_paths import TokenPaths
from vault.modules.identity.oidc.userinfo import RelyingPartyPaths
from vault.settings import Settings


def oidc_paths(people: People, tokens: Tokens, settings: Settings) -> tuple[Path, ...]:
    """Return the table. Without `api_addr`, issuers are named by the first listener, which is right where clients are on this machine."""
    issuers = Issuers(settings.api_addr or settings.listeners[0].url)
    return (
        *key_paths(),
        *TokenPaths(people, issuers, unreachable=not (settings.dev or settings.api_addr)).paths(),
        *Authorization(people, tokens).paths(),
        *Exchange(people, tokens, issuers).paths(),
        *RelyingPartyPaths(people, issuers).paths(),
        *ProviderPaths(issuers).paths(),
    )
