"""`auth/jwt/config`: where the keys of tokens come from. A write replaces all of it, as in Vault; exactly one source of keys is named."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from vault.crypto.public_key import ALGORITHMS
from vault.errors import InvalidRequest
from vault.logical.args import BOOL, LIST, MAP, NAME, SECRET, STRING, arg
from vault.secret import Secret
from vault.storage.view import View

_PLACE = "config"
CODE = "code"
ID_TOKEN = "id_token"  # noqa: S105 - a response type, not a secret
FORM_POST = "form_post"
_PROVIDERS = frozenset({"azure", "gsuite", "ibmisam", "kubernetes", "secureauth"})
_SENSITIVE = frozenset({"gsuite_service_account"})
_ONE_SOURCE = "exactly one of 'jwt_validation_pubkeys', 'jwks_url' or 'oidc_discovery_url' must be set"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration as stored."""

    oidc_discovery_url: str = ""
    oidc_discovery_ca_pem: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = field(default="", repr=False)
    oidc_response_mode: str = ""
    oidc_response_types: tuple[str, ...] = ()
    jwks_url: str = ""
    jwks_ca_pem: str = ""
    jwt_validation_pubkeys: tuple[str, ...] = ()
    jwt_supported_algs: tuple[str, ...] = ()
    bound_issuer: str = ""
    default_role: str = ""
    provider_config: dict[str, Any] = field(default_factory=dict)
    namespace_in_state: bool = True

    @property
    def has_flow(self) -> bool:
        """Return whether people can log in through a web page."""
        return bool(self.oidc_discovery_url and self.oidc_client_id)

    @property
    def wants_id_token(self) -> bool:
        """Return whether the provider is to hand over the ID token itself, in place of a code."""
        return ID_TOKEN in self.oidc_response_types


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteConfig:
    """The fields of the configuration; absent ones are empty afterwards."""

    oidc_discovery_url: str = arg(STRING, "URL of the OpenID provider, without its .well-known part.", default="")
    oidc_discovery_ca_pem: str = arg(
        STRING, "Authorities that the provider's certificate is checked by; else those of the system.", default=""
    )
    oidc_client_id: str = arg(STRING, "Client id at the provider.", default="")
    oidc_client_secret: Secret = arg(SECRET, "Client secret at the provider.", default=Secret(""))
    oidc_response_mode: str = arg(STRING, "query or form_post.", default="")
    oidc_response_types: tuple[str, ...] = arg(LIST, "code (default) or id_token.", default=())
    jwks_url: str = arg(STRING, "URL of a key set.", default="")
    jwks_ca_pem: str = arg(STRING, "Authorities that the key set's server is checked by; else those of the system.", default="")
    jwt_validation_pubkeys: tuple[str, ...] = arg(LIST, "Public keys in PEM.", default=())
    jwt_supported_algs: tuple[str, ...] = arg(LIST, "Signature algorithms that are accepted.", default=())
    bound_issuer: str = arg(STRING, "The `iss` claim that tokens must have.", default="")
    default_role: str = arg(NAME, "Role of logins that name none.", default="")
    provider_config: Mapping[str, Any] | None = arg(MAP, "Settings of a special provider; stored only.", default=None)
    namespace_in_state: bool | None = arg(BOOL, "Stored only.", default=None)
    skip_jwks_validation: bool = arg(BOOL, "Store a source of keys that cannot be reached now.", default=False)


def decode_config(value: bytes) -> Config:
    """Return the configuration stored as `value`."""
    return msgspec.json.decode(value, type=Config)


def find_config(storage: View) -> Config | None:
    """Return the configuration of a mount."""
    entry = storage.get(_PLACE)
    return None if entry is None else entry.decode(decode_config)


def require_config(storage: View, message: str = "could not load configuration") -> Config:
    """Return the configuration of a mount; raises InvalidRequest."""
    config = find_config(storage)
    if config is None:
        raise InvalidRequest(message)
    return config


def put_config(storage: View, config: Config) -> None:
    """Store the configuration of a mount."""
    storage.put(_PLACE, msgspec.json.encode(config))


def parse_config(args: WriteConfig) -> Config:
    """Return the configuration that a request asks for; raises InvalidRequest."""
    config = Config(
        **{name: getattr(args, name) for name in _PLAIN},
        oidc_client_secret=args.oidc_client_secret.reveal(),
        provider_config=dict(args.provider_config or {}),
    )
    _check_sources(config)
    _check_flow(config)
    provider = config.provider_config.get("provider")
    if config.provider_config and provider is None:
        raise InvalidRequest("invalid provider_config: 'provider' field not found in provider_config")
    if provider is not None and (not isinstance(provider, str) or provider not in _PROVIDERS):
        raise InvalidRequest("invalid provider_config: provider not found in custom providers")
    return config


_PLAIN = (
    *("oidc_discovery_url", "oidc_discovery_ca_pem", "oidc_client_id", "oidc_response_mode", "oidc_response_types", "jwks_url"),
    *("jwks_ca_pem", "jwt_validation_pubkeys", "jwt_supported_algs", "bound_issuer", "default_role"),
)


def _check_sources(config: Config) -> None:
    if sum(map(bool, (config.oidc_discovery_url, config.jwks_url, config.jwt_validation_pubkeys))) != 1:
        raise InvalidRequest(_ONE_SOURCE)
    if bool(config.oidc_client_id) != bool(config.oidc_client_secret):
        raise InvalidRequest("both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC")
    if config.oidc_client_id and not config.oidc_discovery_url:
        raise InvalidRequest("'oidc_discovery_url' must be set for OIDC")
    for name in config.jwt_supported_algs:
        if name not in ALGORITHMS:
            raise InvalidRequest(f'invalid jwt_supported_algs: unsupported signing algorithm "{name}"')


def _check_flow(config: Config) -> None:
    if not {*config.oidc_response_types} <= {CODE, ID_TOKEN}:
        raise InvalidRequest(f"invalid response_types [{' '.join(config.oidc_response_types)}]. 'code' and 'id_token' are allowed")
    if config.oidc_response_mode not in {"", "query", FORM_POST}:
        raise InvalidRequest(f'invalid response_mode: "{config.oidc_response_mode}"')
    if config.wants_id_token and config.oidc_response_mode != FORM_POST:
        raise InvalidRequest("query response_mode may not be used with an id_token response_type")


def describe_config(config: Config) -> dict[str, Any]:
    """Return the configuration in the wire's names, without its secrets."""
    shown = {name: _show(getattr(config, name)) for name in _PLAIN}
    provider = {name: value for name, value in config.provider_config.items() if name not in _SENSITIVE}
    return shown | {"provider_config": provider, "namespace_in_state": config.namespace_in_state}


def _show(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
