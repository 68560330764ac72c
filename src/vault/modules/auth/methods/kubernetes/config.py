"""Configuration of a mount of the method `kubernetes`: where its API is, and whom to believe. A write replaces all of it.

What a mount does not say is taken from the pod that the server itself runs in, unless that is switched off: the authority of the API
and the token that reviews others. Both are read when they are needed, because Kubernetes exchanges them.
"""

import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import msgspec

from vault import limits
from vault.crypto.certificate import extract_public_key
from vault.errors import InvalidRequest
from vault.logical.args import BOOL, LIST, SECRET, STRING, arg
from vault.logical.context import Context
from vault.logical.response import Response
from vault.modules.auth.outbound import make_tls, parse_url
from vault.secret import Secret
from vault.storage.view import View

_CONFIG = "config"
_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # where Kubernetes puts them, everywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration as stored."""

    host: str
    ca_cert: str = ""
    token_reviewer_jwt: str = ""
    pem_keys: tuple[str, ...] = ()
    issuer: str = ""
    disable_iss_validation: bool = True
    disable_local_ca_jwt: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteConfig:
    """The fields; absent ones get their default."""

    kubernetes_host: str = arg(STRING, "URL of the Kubernetes API, or its host and port.", default="")
    kubernetes_ca_cert: str = arg(STRING, "Authorities of the API's certificate, PEM.", default="")
    token_reviewer_jwt: Secret = arg(SECRET, "Token that reviews others; else each reviews itself.", default=Secret(""))
    pem_keys: tuple[str, ...] = arg(LIST, "Public keys or certificates that verify tokens here, PEM.", default=())
    issuer: str = arg(STRING, "Issuer of tokens, where it is verified.", default="")
    disable_iss_validation: bool = arg(BOOL, "Do not verify the issuer.", default=True)
    disable_local_ca_jwt: bool = arg(BOOL, "Take nothing from the pod that this server runs in.", default=False)


def _decode(value: bytes) -> Config:
    return msgspec.json.decode(value, type=Config)


def find_config(storage: View) -> Config | None:
    """Return the configuration."""
    entry = storage.get(_CONFIG)
    return None if entry is None else entry.decode(_decode)


class Pod:
    """The files that Kubernetes gives to the pod that the server runs in."""

    def __init__(self, folder: Path = _POD) -> None:
        self._folder = folder

    def find_authority(self) -> str:
        """Return the authorities of the API in PEM, empty outside of Kubernetes."""
        return self._read("ca.crt")

    def find_token(self) -> str:
        """Return the token of the pod's own service account, empty outside of Kubernetes."""
        return self._read("token").strip()

    def _read(self, name: str) -> str:
        try:
            with (self._folder / name).open("rb") as file:
                return file.read(limits.CERTIFICATES_BYTES_MAX).decode("ascii", "replace")
        except OSError:
            return ""

    def make_trust(self, config: Config) -> ssl.SSLContext:
        """Return what connections to the API trust; raises ValueError where nobody says."""
        pem = config.ca_cert or ("" if config.disable_local_ca_jwt else self.find_authority())
        if not pem:
            raise ValueError(f"kubernetes_ca_cert: expected one, as there is none at {self._folder / 'ca.crt'}")
        try:
            return make_tls(pem)
        except ValueError:
            raise ValueError("kubernetes_ca_cert: expected certificates in PEM") from None

    def find_reviewer(self, config: Config) -> str:
        """Return the token that reviews others, empty if there is none."""
        return config.token_reviewer_jwt or ("" if config.disable_local_ca_jwt else self.find_token())


class ConfigPaths:
    """Reads and writes the configuration."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    def read(self, context: Context, _: object) -> Response | None:
        """Answer the configuration, without the token."""
        found = find_config(context.storage)
        if found is None:
            return None
        data = {
            "kubernetes_host": found.host,
            "kubernetes_ca_cert": found.ca_cert,
            "pem_keys": list(found.pem_keys),
            "issuer": found.issuer,
            "disable_iss_validation": found.disable_iss_validation,
            "disable_local_ca_jwt": found.disable_local_ca_jwt,
            "token_reviewer_jwt_set": found.token_reviewer_jwt != "",
        }
        return Response(data=data)

    def prepare(self, context: Context, args: WriteConfig) -> Config:
        """Return the configuration that is to be stored; raises InvalidRequest."""
        if not args.kubernetes_host:
            raise InvalidRequest("no host provided")
        if args.disable_local_ca_jwt and not args.kubernetes_ca_cert:
            raise InvalidRequest("kubernetes_ca_cert must be given when disable_local_ca_jwt is true")
        config = Config(
            host=args.kubernetes_host,
            ca_cert=args.kubernetes_ca_cert,
            token_reviewer_jwt=args.token_reviewer_jwt.reveal(),
            pem_keys=args.pem_keys,
            issuer=args.issuer,
            disable_iss_validation=args.disable_iss_validation,
            disable_local_ca_jwt=args.disable_local_ca_jwt,
        )
        try:
            for key in config.pem_keys:
                extract_public_key(key)
            make_base(config.host)
            self._pod.make_trust(config)
        except ValueError as expected:
            raise InvalidRequest(str(expected)) from None
        if not config.token_reviewer_jwt.isprintable():
            raise InvalidRequest("token_reviewer_jwt: expected a token")
        return config

    def write(self, context: Context, args: WriteConfig) -> None:
        """Replace the configuration."""
        context.storage.put(_CONFIG, msgspec.json.encode(context.prepared))


def make_base(host: str) -> str:
    """Return the URL of the API without its last slash; raises ValueError. Tokens go over TLS, or do not leave this machine."""
    url = host if "://" in host else f"https://{host}"
    try:
        parts = parse_url(url)
    except ValueError:
        raise ValueError("kubernetes_host: expected a URL like https://kubernetes.default.svc, or host:port") from None
    if parts.query:
        raise ValueError("kubernetes_host: expected a URL without a query")
    if parts.scheme == "http" and not _is_loopback(str(parts.hostname)):
        raise ValueError("kubernetes_host: expected https:// where the API is on another machine")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
