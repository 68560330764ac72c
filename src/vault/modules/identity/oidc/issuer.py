"""Who the issuer of tokens is: an address that is configured, or the one by which clients reach this host."""

import re

from vault.errors import InvalidRequest
from vault.modules.identity.oidc.rows import CONFIG, Config, Provider
from vault.storage.view import View

MOUNT = "/v1/identity/oidc"
WARNING = (
    'If "issuer" is set explicitly, all tokens must be validated against that address, including those issued by secondary clusters. '
    'Setting issuer to "" will restore the default behavior of using the cluster\'s api_addr as the issuer.'
)
_ADDRESS = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def check_issuer(issuer: str) -> None:
    """Raise InvalidRequest for what is more or less than the address of a host."""
    if issuer and not _ADDRESS.fullmatch(issuer):
        raise InvalidRequest("invalid issuer, which must include only a scheme, host, and optional port (e.g. https://example.com:8200)")


class Issuers:
    """The names of the issuers of one server. `address` is how clients reach it."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")

    def config(self, storage: View) -> Config:
        """Return the configuration of identity tokens."""
        return CONFIG.find(storage, "config") or Config()

    def of_tokens(self, storage: View) -> str:
        """Return the issuer of identity tokens."""
        return f"{self.config(storage).issuer or self._address}{MOUNT}"

    def of_provider(self, name: str, provider: Provider) -> str:
        """Return the issuer of the ID tokens of a provider."""
        return f"{provider.issuer or self._address}{MOUNT}/provider/{name}"
