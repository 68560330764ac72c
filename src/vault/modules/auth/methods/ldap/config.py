"""Configuration of a mount of the method `ldap`: where its directory is, and how people are found in it. Absent fields keep their value."""

import os
import ssl
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import msgspec

from vault.errors import InvalidRequest
from vault.logical.args import BOOL, COUNT, SECRET, STRING, TTL, arg
from vault.logical.context import Context
from vault.logical.login import TokenParameters
from vault.logical.response import Response
from vault.modules.auth.methods.ldap.name import GROUP_FIELDS, USER_FIELDS, check_filter, is_attribute
from vault.modules.auth.parameters import TokenParameterArgs, change_parameters, describe_parameters
from vault.secret import Secret
from vault.storage.view import View

_CONFIG = "config"
_PORTS = {"ldap": 389, "ldaps": 636}
_VERSIONS = {
    "tls10": ssl.TLSVersion.TLSv1,
    "tls11": ssl.TLSVersion.TLSv1_1,
    "tls12": ssl.TLSVersion.TLSv1_2,
    "tls13": ssl.TLSVersion.TLSv1_3,
}
ALIASES = ("never", "searching", "finding", "always")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration as stored."""

    url: str = "ldap://127.0.0.1"
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
    parameters: TokenParameters = TokenParameters()

    @property
    def can_search(self) -> bool:
        """Return whether people are found by a search before they bind."""
        return self.discoverdn or bool(self.binddn and self.bindpass)


_HIDDEN = frozenset({"bindpass", "client_tls_key", "parameters"})
_OWN = tuple(name for name in Config.__dataclass_fields__ if name != "parameters")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteConfig(TokenParameterArgs):
    """The fields; absent ones keep their value."""

    url: str | None = arg(STRING, "URLs of the directory, ldap:// or ldaps://, by commas; they are tried in turn.", default=None)
    starttls: bool | None = arg(BOOL, "Begin TLS on ldap:// connections.", default=None)
    insecure_tls: bool | None = arg(BOOL, "Do not verify the directory's certificate.", default=None)
    certificate: str | None = arg(STRING, "Authorities of the directory's certificate, PEM; else those of the system.", default=None)
    client_tls_cert: str | None = arg(STRING, "Certificate to show to the directory, PEM.", default=None)
    client_tls_key: Secret | None = arg(SECRET, "Its key, PEM.", default=None)
    tls_min_version: str | None = arg(STRING, "tls10, tls11, tls12 or tls13.", default=None)
    tls_max_version: str | None = arg(STRING, "tls10, tls11, tls12 or tls13.", default=None)
    binddn: str | None = arg(STRING, "Who searches for people.", default=None)
    bindpass: Secret | None = arg(SECRET, "The password of it.", default=None)
    userdn: str | None = arg(STRING, "Below what people are.", default=None)
    userattr: str | None = arg(STRING, "Attribute with the name of a user.", default=None)
    discoverdn: bool | None = arg(BOOL, "Search for people without a binddn.", default=None)
    deny_null_bind: bool | None = arg(BOOL, "Kept for clients: an empty password is always refused.", default=None)
    upndomain: str | None = arg(STRING, "Let users bind as name@domain.", default=None)
    userfilter: str | None = arg(STRING, "Filter that finds a user.", default=None)
    groupfilter: str | None = arg(STRING, "Filter that finds the groups of a user.", default=None)
    groupdn: str | None = arg(STRING, "Below what groups are.", default=None)
    groupattr: str | None = arg(STRING, "Attribute with the name of a group.", default=None)
    anonymous_group_search: bool | None = arg(BOOL, "Search for groups as nobody.", default=None)
    username_as_alias: bool | None = arg(BOOL, "Name aliases as the user logs in, not by userattr.", default=None)
    case_sensitive_names: bool | None = arg(BOOL, "Tell names of users and groups apart by case.", default=None)
    use_token_groups: bool | None = arg(BOOL, "Take groups from tokenGroups of Active Directory.", default=None)
    dereference_aliases: str | None = arg(STRING, "never, finding, searching or always.", default=None)
    max_page_size: int | None = arg(COUNT, "Ask for so many groups at a time; 0: for all at once.", default=None)
    connection_timeout: int | None = arg(TTL, "How long to try each URL.", default=None)
    request_timeout: int | None = arg(TTL, "How long to wait for an answer.", default=None)


def _decode(value: bytes) -> Config:
    return msgspec.json.decode(value, type=Config)


def find_config(storage: View) -> Config | None:
    """Return the configuration."""
    entry = storage.get(_CONFIG)
    return None if entry is None else entry.decode(_decode)


def read_config(context: Context, _: object) -> Response:
    """Answer the configuration, without password and key. Where nothing was written, what would hold."""
    config = find_config(context.storage) or Config()
    return Response(data={name: getattr(config, name) for name in _OWN if name not in _HIDDEN} | describe_parameters(config.parameters))


def write_config(context: Context, args: WriteConfig) -> None:
    """Change the configuration."""
    current = find_config(context.storage) or Config()
    given = {name: value for name in _OWN if (value := getattr(args, name)) is not None}
    given = {name: value.reveal() if isinstance(value, Secret) else value for name, value in given.items()}
    if "url" in given:
        given["url"] = ",".join(part.strip() for part in given["url"].split(",") if part.strip()).lower() or current.url
    config = replace(current, **given, parameters=change_parameters(current.parameters, args))
    try:
        check_config(config)
    except ValueError as expected:
        raise InvalidRequest(str(expected)) from None
    context.storage.put(_CONFIG, msgspec.json.encode(config))


def check_config(config: Config) -> None:
    """Refuse what no login could work with; raises ValueError."""
    list_servers(config)
    make_trust(config)
    for name in ("userattr", "groupattr"):
        if not is_attribute(getattr(config, name)):
            raise ValueError(f"{name}: expected the name of an attribute")
    for name, fields in (("userfilter", USER_FIELDS), ("groupfilter", GROUP_FIELDS)):
        try:
            check_filter(getattr(config, name), fields)
        except ValueError as expected:
            raise ValueError(f"{name}: {expected}") from None
    for name in ("binddn", "userdn", "groupdn", "upndomain"):
        if not getattr(config, name).isprintable():
            raise ValueError(f"{name}: expected printable text")
    if config.dereference_aliases not in ALIASES:
        raise ValueError(f"dereference_aliases: expected one of {', '.join(ALIASES)}")
    if not config.connection_timeout or not config.request_timeout:
        raise ValueError("connection_timeout and request_timeout: expected more than nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One server of the directory."""

    host: str
    port: int
    tls: bool  # from the first byte


def list_servers(config: Config) -> tuple[Place, ...]:
    """Return the servers in the order in which they are tried; raises ValueError."""
    return tuple(_parse_url(url) for url in config.url.split(","))


def _parse_url(url: str) -> Place:
    parts = urlsplit(url)
    if (
        parts.scheme not in _PORTS
        or not parts.hostname
        or parts.username is not None
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
    ):
        raise ValueError("url: expected ldap://host:port or ldaps://host:port, several by commas")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("url: expected no spaces and control characters")
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise ValueError("url: expected a port up to 65535") from None
    return Place(host=parts.hostname, port=port, tls=parts.scheme == "ldaps")


def make_trust(config: Config) -> ssl.SSLContext:
    """Return what TLS connections trust and show; raises ValueError."""
    for name in ("tls_min_version", "tls_max_version"):
        if getattr(config, name) not in _VERSIONS:
            raise ValueError(f"invalid '{name}': expected one of {', '.join(_VERSIONS)}")
    if config.tls_max_version < config.tls_min_version:
        raise ValueError("'tls_max_version' must be greater than or equal to 'tls_min_version'")
    try:
        context = ssl.create_default_context(cadata=config.certificate or None)
    except (ssl.SSLError, ValueError):
        raise ValueError("certificate: expected certificates in PEM") from None
    context.minimum_version = _VERSIONS[config.tls_min_version]
    context.maximum_version = _VERSIONS[config.tls_max_version]
    if config.insecure_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.client_tls_cert or config.client_tls_key:
        _show_certificate(context, config)
    return context


def _show_certificate(context: ssl.SSLContext, config: Config) -> None:
    """Load the certificate from memory: the key never lies on a disk."""
    file = os.memfd_create("ldap")
    try:
        os.write(file, f"{config.client_tls_key}\n{config.client_tls_cert}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{file}", password="")
    except (ssl.SSLError, ValueError, OSError):
        raise ValueError("client_tls_cert and client_tls_key: expected a certificate and its key in PEM") from None
    finally:
        os.close(file)
