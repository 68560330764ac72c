"""Configuration of a mount of the method `ldap`: where the directory is and how people are found in it."""

import ssl
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any
from urllib.parse import urlsplit

import msgspec

from vault import limits
from vault.errors import InvalidRequest
from vault.logical.args import BOOL, COUNT, SECRET, STRING, TTL, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import Context
from vault.logical.login import TokenParameters
from vault.logical.response import Response
from vault.modules.auth.methods.ldap.template import GROUP_FIELDS, USER_FIELDS, require_filter
from vault.modules.auth.parameters import TokenParameterArgs, change_parameters, describe_parameters
from vault.secret import Secret
from vault.storage.view import View

_CONFIG = "config"
TLS_VERSIONS = {
    "tls10": ssl.TLSVersion.TLSv1,
    "tls11": ssl.TLSVersion.TLSv1_1,
    "tls12": ssl.TLSVersion.TLSv1_2,
    "tls13": ssl.TLSVersion.TLSv1_3,
}
DEREFERENCES = ("never", "finding", "searching", "always")
_HIDDEN = frozenset({"bindpass", "client_tls_key", "parameters"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration as stored, in the names of the wire."""

    url: str = "ldap://127.0.0.1"  # several, with commas
    starttls: bool = False
    insecure_tls: bool = False
    certificate: str = ""
    client_tls_cert: str = ""
    client_tls_key: str = ""
    tls_min_version: str = "tls12"
    tls_max_version: str = "tls12"
    binddn: str = ""
    bindpass: str = ""
    userdn: str = ""
    userattr: str = "cn"
    discoverdn: bool = False
    deny_null_bind: bool = True
    upndomain: str = ""
    userfilter: str = "({{.UserAttr}}={{.Username}})"
    groupfilter: str = "(|(memberUid={{.Username}})(member={{.UserDN}})(uniqueMember={{.UserDN}}))"
    groupdn: str = ""
    groupattr: str = "cn"
    anonymous_group_search: bool = False
    username_as_alias: bool = False
    case_sensitive_names: bool = False
    use_token_groups: bool = False
    dereference_aliases: str = "never"
    max_page_size: int = 0
    connection_timeout: int = 30
    request_timeout: int = 90
    parameters: TokenParameters = field(default_factory=TokenParameters)

    @property
    def urls(self) -> tuple[str, ...]:
        """Return the servers, in the order in which they are tried."""
        return tuple(part.strip() for part in self.url.split(",") if part.strip())

    @property
    def searches(self) -> bool:
        """Return whether people are searched for; else the name of the entry is made of theirs."""
        return self.discoverdn or bool(self.binddn and self.bindpass)

    def spell(self, name: str) -> str:
        """Return a name of a user or a group in its one spelling."""
        return name if self.case_sensitive_names else name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteConfig(TokenParameterArgs):
    """The fields; absent ones keep their value."""

    url: str | None = arg(STRING, "URLs of the directory, with commas; tried in this order.", default=None)
    starttls: bool | None = arg(BOOL, "Begin TLS on the plain port.", default=None)
    insecure_tls: bool | None = arg(BOOL, "Do not verify the directory's certificate.", default=None)
    certificate: str | None = arg(STRING, "Authorities of the directory's certificate, PEM.", default=None)
    client_tls_cert: str | None = arg(STRING, "Certificate that is shown to the directory, PEM.", default=None)
    client_tls_key: Secret | None = arg(SECRET, "Its key, PEM.", default=None)
    tls_min_version: str | None = arg(STRING, "tls10 to tls13.", default=None)
    tls_max_version: str | None = arg(STRING, "tls10 to tls13.", default=None)
    binddn: str | None = arg(STRING, "Entry that searches.", default=None)
    bindpass: Secret | None = arg(SECRET, "Its password.", default=None)
    userdn: str | None = arg(STRING, "Below which people are.", default=None)
    userattr: str | None = arg(STRING, "Attribute that holds the names of people.", default=None)
    discoverdn: bool | None = arg(BOOL, "Search for people without binddn.", default=None)
    deny_null_bind: bool | None = arg(BOOL, "An empty password is always refused; kept for clients.", default=None)
    upndomain: str | None = arg(STRING, "Log in as name@upndomain.", default=None)
    userfilter: str | None = arg(STRING, "How people are found: {{.UserAttr}}, {{.Username}}.", default=None)
    groupfilter: str | None = arg(STRING, "How groups are found: {{.Username}}, {{.UserDN}}.", default=None)
    groupdn: str | None = arg(STRING, "Below which groups are; empty: no groups.", default=None)
    groupattr: str | None = arg(STRING, "Attribute that holds the names of groups.", default=None)
    anonymous_group_search: bool | None = arg(BOOL, "Search for groups as nobody.", default=None)
    username_as_alias: bool | None = arg(BOOL, "The name that was typed is the alias, not the attribute.", default=None)
    case_sensitive_names: bool | None = arg(BOOL, "Names that differ in case are different.", default=None)
    use_token_groups: bool | None = arg(BOOL, "Not supported.", default=None)
    dereference_aliases: str | None = arg(STRING, "never, finding, searching or always.", default=None)
    max_page_size: int | None = arg(COUNT, "Entries of one page of a search; 0: no pages.", default=None)
    connection_timeout: int | None = arg(TTL, "How long one server is waited for.", default=None)
    request_timeout: int | None = arg(TTL, "How long one answer is waited for.", default=None)


def _decode(value: bytes) -> Config:
    return msgspec.json.decode(value, type=Config)


def find_config(storage: View) -> Config | None:
    """Return the configuration."""
    entry = storage.get(_CONFIG)
    return None if entry is None else entry.decode(_decode)


def require_config(storage: View) -> Config:
    """Return the configuration; raises InvalidRequest where there is none."""
    config = find_config(storage)
    if config is None:
        raise InvalidRequest("ldap backend not configured")
    return config


def config_paths() -> tuple[Path, ...]:
    """Return the table."""
    return (
        path(
            "config",
            help="Read and change how the directory is reached.",
            read=Endpoint(handler=read_config),
            update=Endpoint(handler=write_config, args=WriteConfig),
        ),
    )


def read_config(context: Context, _: Any) -> Response:
    """Answer the configuration without what is secret in it; where nobody wrote one, what would hold."""
    config = find_config(context.storage) or Config()
    shown = {name: value for name, value in asdict(config).items() if name not in _HIDDEN}
    return Response(data={**shown, **describe_parameters(config.parameters)})


def write_config(context: Context, args: WriteConfig) -> None:
    """Change the configuration."""
    current = find_config(context.storage) or Config()
    given: dict[str, Any] = {}
    for column in fields(Config):
        value = getattr(args, column.name, None)
        if value is not None:
            given[column.name] = value.reveal() if isinstance(value, Secret) else value
    config = replace(current, **given, parameters=change_parameters(current.parameters, args))
    _check(config)
    context.storage.put(_CONFIG, msgspec.json.encode(config))


def _check(config: Config) -> None:
    if not config.urls or len(config.urls) > limits.LDAP_SERVERS_MAX:
        raise InvalidRequest(f"url: expected 1 to {limits.LDAP_SERVERS_MAX} URLs")
    for url in config.urls:
        _require_url(url)
    for name in ("tls_min_version", "tls_max_version"):
        if getattr(config, name) not in TLS_VERSIONS:
            raise InvalidRequest(f"invalid '{name}'")
    if config.tls_max_version < config.tls_min_version:
        raise InvalidRequest("'tls_max_version' must be greater than or equal to 'tls_min_version'")
    if config.dereference_aliases not in DEREFERENCES:
        raise InvalidRequest(f"invalid 'dereference_aliases': expected one of {', '.join(DEREFERENCES)}")
    if config.use_token_groups:
        raise InvalidRequest("'use_token_groups' is not supported")
    require_filter(config.userfilter, USER_FIELDS, "userfilter")
    require_filter(config.groupfilter, GROUP_FIELDS, "groupfilter")
    _require_certificates(config)


def _require_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidRequest("url: expected ldap://HOST[:PORT] or ldaps://HOST[:PORT]") from None
    if parts.scheme not in {"ldap", "ldaps"} or not parts.hostname or parts.path.strip("/") or port == 0:
        raise InvalidRequest("url: expected ldap://HOST[:PORT] or ldaps://HOST[:PORT]")


def _require_certificates(config: Config) -> None:
    if bool(config.client_tls_cert) != bool(config.client_tls_key):
        raise InvalidRequest("both client_tls_cert and client_tls_key must be set")
    if config.certificate:
        try:
            ssl.create_default_context(cadata=config.certificate)
        except (ssl.SSLError, ValueError):
            raise InvalidRequest("failed to parse server tls cert") from None
