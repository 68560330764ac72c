"""What the server can be told, as frozen values. Where each comes from is decided in `config`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from vault import limits
from vault.failures import Rule
from vault.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How a listener encrypts. A client certificate is asked for; who uses it judges it, unless `require_client_cert`."""

    cert_file: str
    key_file: str
    min_version: str = "tls12"
    max_version: str = "tls13"
    cipher_suites: str = ""  # OpenSSL's names, separated by colons; empty: OpenSSL's choice
    client_ca_file: str = ""
    require_client_cert: bool = False
    disable_client_certs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """Whose X-Forwarded-For is believed, and what becomes of requests without it or of other peers."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    hop_skips: int = 0
    reject_not_authorized: bool = True
    reject_not_present: bool = True
    certificate_header: str = ""  # in which proxies hand on the certificate of their client; empty: they do not
    certificate_decoders: tuple[str, ...] = ("BASE64",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One address and what its clients may do."""

    address: Address
    tls: Tls | None = None
    proxies: Proxies = Proxies()
    body_bytes_max: int = limits.BODY_BYTES_MAX
    unauthenticated_metrics: bool = False
    unauthenticated_in_flight: bool = False
    unauthenticated_rekey: bool = False
    unauthenticated_generate_root: bool = False

    @property
    def url(self) -> str:
        """Return what a client on this machine calls it."""
        return f"{'https' if self.tls else 'http'}://{self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Which PostgreSQL: one named by its URL, one of our own in a folder, or one that is thrown away at the end."""

    kind: str
    connection_url: Secret = Secret("")  # noqa: RUF009 - immutable
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDevice:
    """An audit device that exists by configuration."""

    kind: str
    name: str
    description: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    where: str = field(default="", compare=False)  # place of its block in the configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticSeal:
    """`seal "static"`: the root key is opened by a key from a file or the environment, so a restart needs nobody."""

    current_key_id: str
    current_key: Secret  # 32 bytes as hex or base64
    previous_key_id: str = ""
    previous_key: Secret = Secret("")  # noqa: RUF009 - immutable
    disabled: bool = False  # only to migrate away from it


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoints:
    """Where signed heads of the audit logs are noted: a second place, so that a tail that was cut off is found."""

    kind: str = ""  # file, syslog or postgres; empty: a file beside the audit log
    options: Mapping[str, str] = field(default_factory=dict)
    interval_seconds: int = 60
    records: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the server can be told."""

    listeners: tuple[Listener, ...]
    storage: Storage
    audit: tuple[AuditDevice, ...]
    workers: int
    threads: int
    log_level: str
    log_format: str
    log_file: str = ""
    default_lease_seconds: int
    max_lease_seconds: int
    request_seconds_max: int = 90
    audit_dir: str
    audit_addresses: tuple[str, ...] = ()  # where audit devices that are enabled over the API may send records
    data_dir: str
    pid_file: str
    api_addr: str = ""
    seal: StaticSeal | None = None
    checkpoints: Checkpoints = Checkpoints()
    audit_retention_days: int = limits.AUDIT_RETENTION_DAYS  # of the audit table; never less than six years
    raw_storage_endpoint: bool = False
    user_lockouts: Mapping[str, Rule] = field(default_factory=dict)  # by kind of auth method, or `all`
    disable_mlock: bool = False
    prometheus_retention_seconds: int = 86_400  # 0: no Prometheus text
    cors_allowed_origins: tuple[str, ...] = ()
    dev: bool
    dev_root_token: Secret
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Where a client command goes, as whom, and whose certificates it trusts."""

    address: str
    token: Secret
    namespace: str = ""
    ca_cert: str = ""  # empty: the system's authorities
    skip_verify: bool = False
    client_cert: str = ""
    client_key: str = ""
