"""Where every setting comes from: defaults, then the files, then HEALTH_VAULT_* variables, then flags; the later one wins.

The only module that reads the environment, for the server and for the client commands alike. Unknown keys only warn, because files of
Vault have many that mean nothing here; a wrong value stops the start and says where it stands.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vault import options
from vault.config_file import LABELS, File, Found, Stanza, WrongSetting, list_files, parse_block, read_file
from vault.failures import ALL, KINDS, Rule
from vault.key_text import read_key
from vault.options import Option
from vault.secret import Secret
from vault.settings import AuditDevice, Checkpoints, ClientSettings, Listener, Proxies, Settings, StaticSeal, Storage, Tls

PREFIX = "HEALTH_VAULT_"
SCRATCH_DATA = "data"  # where a throw-away PostgreSQL lives in its scratch folder
_CHECKPOINT_KINDS = ("file", "syslog", "postgres")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """All that was said: by files, by variables, by flags."""

    values: Mapping[str, Found]
    stanzas: Mapping[str, tuple[Stanza, ...]]
    environment: Mapping[str, str]
    flags: Mapping[str, Any]

    def read(self, table: tuple[Option, ...], block: str = "", values: Mapping[str, Found] | None = None) -> dict[str, Any]:
        """Return the values of a table's options; those that a file gives are `values`, at the top level those of the top level."""
        given = self.values if values is None else values
        return {option.name: self.read_option(option, block, given.get(option.name)) for option in table}

    def read_option(self, option: Option, block: str, given: Found | None) -> Any:
        """Return the value of one option; `given` is what a file says."""
        found = self.find_outside(option, block) or given
        if found is None:
            return option.default()
        try:
            return option.parse(found.value)
        except ValueError as expected:
            name = f"{block} {option.name}" if block and found is given else option.name
            prefix = f"{found.where}: {name}" if found is given else found.where
            raise WrongSetting(f"{prefix}: expected {expected}") from None

    def find_outside(self, option: Option, block: str = "") -> Found | None:
        """Return what a flag or a variable says."""
        name = f"{block}_{option.name}" if block else option.name
        if self.flags.get(name) is not None:
            return Found(value=self.flags[name], where=f"--{name.replace('_', '-')}")
        variable = f"{PREFIX}{name.upper()}"
        return Found(value=self.environment[variable], where=variable) if self.environment.get(variable) else None

    def is_said_outside(self, table: tuple[Option, ...], block: str) -> bool:
        """Return whether a flag or a variable says anything about a block."""
        return any(self.find_outside(option, block) for option in table)

    def find_stanza(self, kind: str, kinds: tuple[str, ...]) -> Stanza | None:
        """Return the one block of a kind; raises WrongSetting for an unknown label."""
        found = self.stanzas.get(kind, ())
        if not found:
            return None
        if found[-1].labels and found[-1].labels[0] not in kinds:
            raise WrongSetting(f"{found[-1].where}: {found[-1].title}: expected one of {', '.join(kinds)}")
        return found[-1]


def load_settings(*, dev: bool = False, flags: Mapping[str, Any] | None = None, files: tuple[str, ...] = ()) -> Settings:
    """Return the settings of a server; raises WrongSetting naming the one that cannot be used."""
    names = files or tuple(name for name in os.environ.get(f"{PREFIX}CONFIG", "").split(os.pathsep) if name)
    read = tuple(read_file(path) for path in list_files(names))
    return combine(dev=dev, flags=flags or {}, environment=os.environ, files=read)


def _default_data_dir(environment: Mapping[str, str]) -> str:
    if os.geteuid() == 0:
        return "/var/lib/health-vault"
    return options.parse_path(environment.get("XDG_DATA_HOME", "~/.local/share") + "/health-vault")


def combine(*, dev: bool, flags: Mapping[str, Any], environment: Mapping[str, str], files: tuple[File, ...]) -> Settings:
    """Return the settings that these sources make together."""
    values = {name: found for file in files for name, found in file.values.items()}
    sources = Sources(values=values, stanzas=_gather(files, environment), environment=environment, flags=flags)
    top = sources.read(options.TOP)
    top["data_dir"] = top["data_dir"] or _default_data_dir(environment)
    if top["default_lease_ttl"] > top["max_lease_ttl"]:
        raise WrongSetting("default_lease_ttl: expected at most max_lease_ttl")
    telemetry = sources.read(options.TELEMETRY, "telemetry", _values_of(sources.find_stanza("telemetry", ())))
    return Settings(
        listeners=_read_listeners(sources, top["max_request_size"]),
        storage=_read_storage(sources, top["data_dir"], dev=dev),
        audit=_read_devices(sources),
        checkpoints=_read_checkpoints(sources),
        seal=_read_seal(sources),
        user_lockouts=_read_lockouts(sources),
        default_lease_seconds=top["default_lease_ttl"],
        max_lease_seconds=top["max_lease_ttl"],
        request_seconds_max=top["max_request_duration"],
        prometheus_retention_seconds=telemetry["prometheus_retention_time"],
        dev=dev,
        dev_root_token=Secret(top["dev_root_token_id"]),
        warnings=tuple(_warn(sources)),
        **{name: top[name] for name in _PLAIN},
    )


# Options of the top level that are settings of the same name.
_PLAIN = (
    *("workers", "threads", "log_level", "log_format", "log_file", "pid_file", "api_addr", "data_dir", "disable_mlock"),
    *("audit_dir", "audit_addresses", "audit_retention_days", "raw_storage_endpoint", "cors_allowed_origins"),
)


def _gather(files: tuple[File, ...], environment: Mapping[str, str]) -> Mapping[str, tuple[Stanza, ...]]:
    """Return the blocks by kind. A variable with the JSON form of a block takes the place of those in files."""
    gathered: dict[str, tuple[Stanza, ...]] = {}
    for kind in LABELS:
        variable = f"{PREFIX}{kind.upper()}"
        text = environment.get(variable)
        of_files = tuple(tuple(stanza for stanza in file.stanzas if stanza.kind == kind) for file in files)
        if text:
            of_files = (parse_block(kind, text, variable),)
        if kind in {"listener", "audit", "user_lockout"}:
            gathered[kind] = tuple(stanza for group in of_files for stanza in group)
            continue
        for group in of_files:
            if len(group) > 1:
                raise WrongSetting(f"{group[1].where}: {kind}: expected one")
            gathered[kind] = group or gathered.get(kind, ())
    return gathered


def _values_of(stanza: Stanza | None) -> Mapping[str, Found]:
    return {} if stanza is None else stanza.values


# --- blocks -----------------------------------------------------------------------------------------------------------------


def _read_listeners(sources: Sources, body_bytes_max: int) -> tuple[Listener, ...]:
    stanzas = sources.stanzas.get("listener", ())
    for stanza in stanzas:
        if stanza.labels != ("tcp",):
            raise WrongSetting(f'{stanza.where}: {stanza.title}: expected listener "tcp"')
    if len(stanzas) > 1 and sources.is_said_outside(options.LISTENER, "listener"):
        raise WrongSetting("listener: expected no variable and no flag where the files have several")
    if not stanzas:
        values = sources.read(options.LISTENER, "listener", {})
        plain = not (values["tls_cert_file"] or values["tls_key_file"])
        return (_make_listener({**values, "tls_disable": plain or values["tls_disable"]}, body_bytes_max, "listener"),)
    listeners = tuple(
        _make_listener(sources.read(options.LISTENER, "listener", stanza.values), body_bytes_max, f"{stanza.where}: listener")
        for stanza in stanzas
    )
    addresses = [str(listener.address) for listener in listeners]
    if len(set(addresses)) < len(addresses):
        raise WrongSetting(f"{stanzas[-1].where}: listener: expected addresses that differ")
    return listeners


def _make_listener(values: Mapping[str, Any], body_bytes_max: int, where: str) -> Listener:
    return Listener(
        address=values["address"],
        tls=None if values["tls_disable"] else _make_tls(values, where),
        proxies=_make_proxies(values, where),
        body_bytes_max=values["max_request_size"] or body_bytes_max,
        unauthenticated_metrics=values["telemetry"],
        unauthenticated_in_flight=values["inflight_requests_logging"],
        unauthenticated_rekey=not values["disable_unauthed_rekey_endpoints"],
        unauthenticated_generate_root=not values["disable_unauthed_generate_root_endpoints"],
    )


def _make_proxies(values: Mapping[str, Any], where: str) -> Proxies:
    if values["x_forwarded_for_client_cert_header"] and not values["x_forwarded_for_authorized_addrs"]:
        raise WrongSetting(f"{where}: x_forwarded_for_client_cert_header: expected x_forwarded_for_authorized_addrs as well")
    return Proxies(
        networks=values["x_forwarded_for_authorized_addrs"],
        hop_skips=values["x_forwarded_for_hop_skips"],
        reject_not_authorized=values["x_forwarded_for_reject_not_authorized"],
        reject_not_present=values["x_forwarded_for_reject_not_present"],
        certificate_header=values["x_forwarded_for_client_cert_header"],
        certificate_decoders=values["x_forwarded_for_client_cert_header_decoders"],
    )


def _make_tls(values: Mapping[str, Any], where: str) -> Tls:
    if not values["tls_cert_file"] or not values["tls_key_file"]:
        raise WrongSetting(f"{where}: expected tls_cert_file and tls_key_file, or tls_disable = true")
    if values["tls_min_version"] > values["tls_max_version"]:
        raise WrongSetting(f"{where}: tls_min_version: expected at most tls_max_version")
    if values["tls_require_and_verify_client_cert"] and values["tls_disable_client_certs"]:
        raise WrongSetting(f"{where}: expected one of tls_require_and_verify_client_cert and tls_disable_client_certs")
    if values["tls_require_and_verify_client_cert"] and not values["tls_client_ca_file"]:
        raise WrongSetting(f"{where}: tls_client_ca_file: expected a file, to verify client certificates with")
    return Tls(
        cert_file=values["tls_cert_file"],
        key_file=values["tls_key_file"],
        min_version=values["tls_min_version"],
        max_version=values["tls_max_version"],
        cipher_suites=":".join(values["tls_cipher_suites"]),
        client_ca_file=values["tls_client_ca_file"],
        require_client_cert=values["tls_require_and_verify_client_cert"],
        disable_client_certs=values["tls_disable_client_certs"],
    )


def _read_storage(sources: Sources, data_dir: str, *, dev: bool) -> Storage:
    stanza = sources.find_stanza("storage", tuple(options.STORAGE))
    url_is_said = sources.is_said_outside(options.STORAGE["postgresql"], "storage")
    kind = "postgresql" if url_is_said else stanza.labels[0] if stanza else "inmem" if dev else "embedded"
    values = sources.read(options.STORAGE[kind], "storage", _values_of(stanza))
    if kind == "postgresql":
        if not values["connection_url"]:
            raise WrongSetting(f"{stanza.where if stanza else kind}: storage connection_url: expected {options.POSTGRESQL_URL}")
        return Storage(kind=kind, connection_url=Secret(values["connection_url"]))
    return Storage(kind=kind, path=(values["path"] or data_dir) if kind == "embedded" else "")


def _read_devices(sources: Sources) -> tuple[AuditDevice, ...]:
    devices = tuple(_read_device(sources, stanza) for stanza in sources.stanzas.get("audit", ()))
    names = [device.name for device in devices]
    for position, device in enumerate(devices):
        if device.name in names[:position]:
            raise WrongSetting(f"{device.where}: expected a name that no other audit device has")
    return devices


def _read_device(sources: Sources, stanza: Stanza) -> AuditDevice:
    if stanza.labels[-1] in {option.name for option in options.AUDIT}:  # a block of this one that stands where a second label should
        raise WrongSetting(f'{stanza.where}: audit "{stanza.labels[0]}": expected a name, too, like audit "{stanza.labels[0]}" "main"')
    given, where = stanza.values, f"{stanza.where}: {stanza.title}"
    values = {option.name: sources.read_option(option, stanza.title, given.get(option.name)) for option in options.AUDIT}
    return AuditDevice(kind=stanza.labels[0], name=stanza.labels[-1].strip("/"), where=where, **values)


def _read_checkpoints(sources: Sources) -> Checkpoints:
    stanza = sources.find_stanza("audit_checkpoint", _CHECKPOINT_KINDS)
    values = sources.read(options.CHECKPOINT, "audit_checkpoint", _values_of(stanza))
    return Checkpoints(
        kind=stanza.labels[0] if stanza else "",
        options=values["options"],
        interval_seconds=values["interval"],
        records=values["records"],
    )


def _read_lockouts(sources: Sources) -> Mapping[str, Rule]:
    """Return when users are locked out, by kind of auth method; a later block of a kind takes the place of an earlier one."""
    found = {}
    for stanza in sources.stanzas.get("user_lockout", ()):
        if stanza.labels[0] not in {*KINDS, ALL}:
            raise WrongSetting(f"{stanza.where}: {stanza.title}: expected one of {', '.join(sorted({*KINDS, ALL}))}")
        values = {option.name: sources.read_option(option, stanza.title, stanza.values.get(option.name)) for option in options.USER_LOCKOUT}
        found[stanza.labels[0]] = Rule(
            threshold=values["lockout_threshold"],
            duration_seconds=values["lockout_duration"],
            reset_seconds=values["lockout_counter_reset"],
            disabled=values["disable_lockout"],
        )
    return found


def _read_seal(sources: Sources) -> StaticSeal | None:
    stanza = sources.find_stanza("seal", ("static", "shamir"))
    if (stanza and stanza.labels == ("shamir",)) or not (stanza or sources.is_said_outside(options.STATIC_SEAL, "seal")):
        return None
    values = sources.read(options.STATIC_SEAL, "seal", _values_of(stanza))
    where = f"{stanza.where}: {stanza.title}" if stanza else 'seal "static"'
    if not values["current_key_id"]:
        raise WrongSetting(f"{where}: current_key_id: expected a name for the key")
    if bool(values["previous_key_id"]) is not bool(values["previous_key"]) or values["previous_key_id"] == values["current_key_id"]:
        raise WrongSetting(f"{where}: expected previous_key_id and previous_key together, other than the current ones")
    return StaticSeal(
        current_key_id=values["current_key_id"],
        current_key=read_key(values["current_key"], sources.environment, f"{where}: current_key"),
        previous_key_id=values["previous_key_id"],
        previous_key=read_key(values["previous_key"], sources.environment, f"{where}: previous_key")
        if values["previous_key"]
        else Secret(""),
        disabled=values["disabled"],
    )


def _warn(sources: Sources) -> Iterator[str]:
    """Name what has no effect."""
    yield from _warn_variables(sources)
    known = {option.name for option in options.TOP}
    for name, found in sources.values.items():
        if name not in known:
            yield f"{found.where}: unknown setting {name!r} has no effect"
    tables = {**options.BLOCKS, "audit": options.AUDIT, "audit_checkpoint": options.CHECKPOINT, "user_lockout": options.USER_LOCKOUT}
    for kind, stanzas in sources.stanzas.items():
        known = {option.name for option in tables[kind]}
        for stanza in stanzas:
            for name, found in stanza.values.items():
                if name not in known:
                    yield f"{found.where}: unknown setting {name!r} in {kind} has no effect"
            yield from _warn_options(stanza, _OPTIONS.get(kind, frozenset()))


_OPTIONS = {"audit": options.DEVICE_OPTIONS, "audit_checkpoint": options.PLACE_OPTIONS}


def _warn_variables(sources: Sources) -> Iterator[str]:
    """Name variables that begin as ours do and are none, but for those that hold a key of the seal."""
    known = {"CONFIG", *(option.name.upper() for option in options.TOP), *(kind.upper() for kind in LABELS)}
    known |= {f"{block}_{option.name}".upper() for block, table in options.BLOCKS.items() for option in table}
    keys = (sources.find_outside(option, "seal") for option in options.STATIC_SEAL)
    of_files = (found for stanza in sources.stanzas.get("seal", ()) for found in stanza.values.values())
    known |= {str(found.value).removeprefix(f"env://{PREFIX}") for found in (*keys, *of_files) if found}
    for name in sorted(sources.environment):
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in known:
            yield f"unknown variable {name} has no effect"


def _warn_options(stanza: Stanza, known: frozenset[str]) -> Iterator[str]:
    """Name options that no device, or no place of checkpoints, has: one that is misspelt would be missed when it is needed."""
    found = stanza.values.get("options")
    if found is not None and known and isinstance(found.value, Mapping):
        for name in (name for name in found.value if name not in known):
            yield f"{found.where}: unknown option {name!r} of {stanza.title} has no effect"


# --- what the rest of the service asks for ----------------------------------------------------------------------------------


def settle(settings: Settings, scratch: str) -> Settings:
    """Return settings without gaps: there is an audit device, whatever is configured, and a throw-away PostgreSQL lives in `scratch`."""
    storage = settings.storage
    default = AuditDevice(kind="postgres", name="postgres")
    if storage.kind == "inmem":
        storage = replace(storage, path=str(Path(scratch, SCRATCH_DATA)))
        folder = settings.audit_dir or scratch
        default = AuditDevice(kind="file", name="file", options={"file_path": str(Path(folder, "audit.log"))})
    return replace(settings, storage=storage, audit=settings.audit or (default,))


def load_client_settings(environment: Mapping[str, str] | None = None) -> ClientSettings:
    """Return where client commands go, from the variables of either product; without a token there, the file ~/.vault-token has it.

    Raises WrongSetting.
    """
    given = os.environ if environment is None else environment

    def find(name: str) -> str:
        return given.get(f"VAULT_{name}") or given.get(f"BAO_{name}") or ""

    try:
        skip_verify = options.parse_switch(find("SKIP_VERIFY") or False)
    except ValueError as expected:
        raise WrongSetting(f"VAULT_SKIP_VERIFY: expected {expected}") from None
    return ClientSettings(
        address=find("ADDR") or f"http://{options.DEV_ADDRESS}",
        token=Secret(find("TOKEN") or _read_token_file(given.get("HOME", ""))),
        namespace=find("NAMESPACE"),
        ca_cert=find("CACERT"),
        skip_verify=skip_verify,
        client_cert=find("CLIENT_CERT"),
        client_key=find("CLIENT_KEY"),
    )


def _read_token_file(home: str) -> str:
    try:
        return Path(home, ".vault-token").read_text().strip() if home else ""
    except (OSError, UnicodeDecodeError):
        return ""
