"""Where every setting comes from: defaults, then the file, then HEALTH_VAULT_* variables, then flags; the later one wins.

A table row is one setting. The only module that reads the environment, for the server and for the client commands alike.
Unknown keys of a file only warn, because files of Vault have many that mean nothing here; a wrong value stops the start.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vault import hcl, limits
from vault.logical.args import parse_bool, parse_duration
from vault.secret import Secret
from vault.settings import Address, AuditDevice, ClientSettings, Listener, Settings, Storage

PREFIX = "HEALTH_VAULT_"
DEV_ADDRESS = "127.0.0.1:4117"


class WrongSetting(ValueError):
    """A setting that cannot be used; the text says which one and what was expected."""


# --- how a value is read ------------------------------------------------------------------------------------------------


def _parse_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("text")  # noqa: TRY004 - the caller turns every ValueError into one message
    return value


def _parse_folder(value: Any) -> str:
    return str(Path(_parse_text(value)).expanduser().absolute()) if value else ""


def _whole_number(low: int, high: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def _one_of(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return str(value)

    return parse


def _parse_lease(value: Any) -> int:
    try:
        seconds = parse_duration(value)
    except ValueError:
        seconds = 0
    if seconds < 1:
        raise ValueError("a duration of at least one second, like 768h")
    return seconds


def parse_address(value: Any) -> Address:
    """Read `host:port`, an IPv6 host in brackets."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]*)):([0-9]{1,5})", str(value), re.ASCII)
    if found is None or int(found[3]) > 65535:
        raise ValueError("host:port, like 127.0.0.1:4117")
    return Address(host=found[1] or found[2] or "0.0.0.0", port=int(found[3]))  # noqa: S104 - an empty host asks for all interfaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One plain setting: a key of the file, HEALTH_VAULT_<NAME> and, where the command has one, a flag."""

    name: str
    parse: Callable[[Any], Any]
    default: Any
    help: str


def _default_data_dir() -> str:
    if os.geteuid() == 0:
        return "/var/lib/health-vault"
    return _parse_folder(os.environ.get("XDG_DATA_HOME", "~/.local/share") + "/health-vault")


def _core_count() -> int:
    return len(os.sched_getaffinity(0))


OPTIONS = (
    Option(name="workers", parse=_whole_number(1, 256), default=_core_count, help="worker processes; one for each core"),
    Option(name="threads", parse=_whole_number(1, 256), default=lambda: 8, help="threads of each worker"),
    Option(name="log_level", parse=_one_of("debug", "info", "warning", "error"), default=lambda: "info", help="least level that is logged"),
    Option(name="log_format", parse=_one_of("console", "json"), default=lambda: "console", help="form of the log lines"),
    Option(name="default_lease_ttl", parse=_parse_lease, default=lambda: limits.DEFAULT_LEASE_SECONDS, help="lease where nobody says"),
    Option(name="max_lease_ttl", parse=_parse_lease, default=lambda: limits.MAX_LEASE_SECONDS, help="longest lease"),
    Option(name="data_dir", parse=_parse_folder, default=_default_data_dir, help="folder of the embedded PostgreSQL"),
    Option(name="audit_dir", parse=_parse_folder, default=lambda: "", help="folder of audit.log where no device is configured"),
    Option(name="pid_file", parse=_parse_folder, default=lambda: "", help="file that holds the server's process id"),
    Option(name="address", parse=parse_address, default=lambda: parse_address(DEV_ADDRESS), help="where to listen"),
    Option(name="connection_url", parse=_parse_text, default=lambda: "", help="URL of PostgreSQL"),
    Option(name="dev_root_token_id", parse=_parse_text, default=lambda: "", help="root token of a development server"),
)
_FROM_STANZAS = frozenset({"address", "connection_url"})
_STANZA_KEYS = {
    "listener": frozenset({"address", "tls_disable"}),
    "storage": frozenset({"connection_url", "path"}),
    "audit": frozenset({"options", "type", "path", "description"}),
}
_STORAGE_KINDS = ("embedded", "inmem", "postgresql")


# --- the file -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza:
    """One block of the file: `listener "tcp" { ... }`."""

    kind: str
    labels: tuple[str, ...]
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What a configuration file says."""

    values: Mapping[str, Any] = field(default_factory=dict)
    stanzas: tuple[Stanza, ...] = ()


def parse_file(text: str) -> File:
    """Read a configuration file, HCL or JSON; raises WrongSetting."""
    try:
        body = hcl.parse_json(text) if hcl.is_json(text) else hcl.parse_hcl(text)
    except hcl.SyntaxFault as fault:
        raise WrongSetting(f"configuration file: {fault}") from None
    values: dict[str, Any] = {}
    stanzas: list[Stanza] = []
    for item in body.items:
        name = item.keys[0]
        if name in _STANZA_KEYS:
            stanzas.extend(_read_stanzas(name, item.keys[1:], item.value))
        elif len(item.keys) == 1 and not isinstance(item.value, hcl.Body | tuple):
            values[name] = item.value
        else:
            values[name] = None  # a block that means nothing here; the caller warns
    return File(values=values, stanzas=tuple(stanzas))


def _read_stanzas(kind: str, labels: tuple[str, ...], value: Any) -> Iterator[Stanza]:
    """Unfold labels: JSON nests them as objects, and repeats blocks in lists."""
    if isinstance(value, tuple):
        for member in value:
            yield from _read_stanzas(kind, labels, member)
    elif not isinstance(value, hcl.Body):
        raise WrongSetting(f"{kind}: expected a block")
    elif len(labels) < (2 if kind == "audit" else 1):
        for item in value.items:
            yield from _read_stanzas(kind, (*labels, *item.keys), item.value)
    else:
        yield Stanza(kind=kind, labels=labels, values={item.keys[0]: _plain(item.value) for item in value.items})


def _plain(value: Any) -> Any:
    return {item.keys[0]: _plain(item.value) for item in value.items} if isinstance(value, hcl.Body) else value


# --- putting it together --------------------------------------------------------------------------------------------------


def load_settings(*, dev: bool = False, flags: Mapping[str, Any] | None = None, files: tuple[str, ...] = ()) -> Settings:
    """Return the settings of a server; raises WrongSetting naming the one that cannot be used."""
    texts = []
    for name in files:
        try:
            texts.append(Path(name).read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise WrongSetting(f"configuration file {name}: {getattr(error, 'strerror', None) or 'not text'}") from None
    return combine(dev=dev, flags=flags or {}, environment=os.environ, files=tuple(parse_file(text) for text in texts))


def combine(*, dev: bool, flags: Mapping[str, Any], environment: Mapping[str, str], files: tuple[File, ...]) -> Settings:
    """Return the settings that these sources make together."""
    warnings: list[str] = []
    stanzas = tuple(stanza for file in files for stanza in file.stanzas)
    found: dict[str, Any] = {}
    for file in files:
        found |= file.values
    known = {option.name for option in OPTIONS} - _FROM_STANZAS
    warnings += [f"unknown setting {name!r} has no effect" for name in sorted(found.keys() - known)]
    warnings += list(_warn_of_stanzas(stanzas))
    found = {name: value for name, value in found.items() if name in known} | _from_stanzas(stanzas)
    values = {option.name: _pick(option, flags, environment, found) for option in OPTIONS}
    if values["default_lease_ttl"] > values["max_lease_ttl"]:
        raise WrongSetting("default_lease_ttl: expected at most max_lease_ttl")
    return Settings(
        listeners=(Listener(address=values["address"]),),
        storage=_choose_storage(stanzas, values, dev=dev),
        audit=tuple(_read_device(stanza) for stanza in stanzas if stanza.kind == "audit"),
        default_lease_seconds=values["default_lease_ttl"],
        max_lease_seconds=values["max_lease_ttl"],
        dev=dev,
        dev_root_token=Secret(values["dev_root_token_id"]),
        warnings=tuple(warnings),
        **{name: values[name] for name in ("workers", "threads", "log_level", "log_format", "data_dir", "audit_dir", "pid_file")},
    )


def _pick(option: Option, flags: Mapping[str, Any], environment: Mapping[str, str], found: Mapping[str, Any]) -> Any:
    variable = PREFIX + option.name.upper()
    if flags.get(option.name) is not None:
        source, value = f"--{option.name.replace('_', '-')}", flags[option.name]
    elif environment.get(variable):
        source, value = variable, environment[variable]
    elif option.name in found:
        source, value = option.name, found[option.name]
    else:
        return option.default()
    try:
        return option.parse(value)
    except ValueError as expected:
        raise WrongSetting(f"{source}: expected {expected}") from None


def _from_stanzas(stanzas: tuple[Stanza, ...]) -> dict[str, Any]:
    """Return the plain settings that stand inside blocks."""
    found: dict[str, Any] = {}
    for stanza in stanzas:
        if stanza.kind == "listener":
            if stanza.labels != ("tcp",):
                raise WrongSetting(f"listener {' '.join(stanza.labels)!r}: expected tcp")
            if "address" in found:
                raise WrongSetting("listener: expected one")
            if not _is_true(stanza.values.get("tls_disable", False), "listener tls_disable"):
                raise WrongSetting("listener: expected tls_disable = true, plain HTTP is all that this release serves")
            found["address"] = stanza.values.get("address", DEV_ADDRESS)
        elif stanza.kind == "storage" and "connection_url" in stanza.values:
            found["connection_url"] = stanza.values["connection_url"]
    return found


def _is_true(value: Any, name: str) -> bool:
    try:
        return parse_bool(value)
    except ValueError as expected:
        raise WrongSetting(f"{name}: {expected}") from None


def _warn_of_stanzas(stanzas: tuple[Stanza, ...]) -> Iterator[str]:
    for stanza in stanzas:
        for name in sorted(stanza.values.keys() - _STANZA_KEYS[stanza.kind]):
            yield f"unknown setting {name!r} in {stanza.kind} has no effect"


def _choose_storage(stanzas: tuple[Stanza, ...], values: Mapping[str, Any], *, dev: bool) -> Storage:
    chosen = [stanza for stanza in stanzas if stanza.kind == "storage"]
    if len(chosen) > 1:
        raise WrongSetting("storage: expected one")
    if chosen:
        kind = chosen[0].labels[0]
        if kind not in _STORAGE_KINDS:
            raise WrongSetting(f"storage {kind!r}: expected one of {', '.join(_STORAGE_KINDS)}")
        path = _parse_folder(chosen[0].values.get("path", "")) or values["data_dir"]
    else:
        kind = "inmem" if dev else "postgresql" if values["connection_url"] else "embedded"
        path = values["data_dir"]
    if kind == "postgresql":
        if not re.match(r"postgres(?:ql)?://", values["connection_url"]):
            raise WrongSetting("storage connection_url: expected a URL like postgresql://user@host/database")
        return Storage(kind=kind, connection_url=Secret(values["connection_url"]))
    return Storage(kind=kind, path=path if kind == "embedded" else "")


def _read_device(stanza: Stanza) -> AuditDevice:
    options = stanza.values.get("options", {})
    if not isinstance(options, dict) or not all(isinstance(value, str) for value in options.values()):
        raise WrongSetting(f"audit {' '.join(stanza.labels)!r}: expected options with text values")
    return AuditDevice(kind=stanza.labels[0], name=stanza.labels[-1].strip("/"), options=options)


def settle(settings: Settings, scratch: str) -> Settings:
    """Return settings without gaps: a throw-away PostgreSQL lives in `scratch`, and there is an audit device, whatever is configured."""
    storage = settings.storage
    if storage.kind == "inmem":
        storage = replace(storage, path=str(Path(scratch, "data")))
    folder = settings.audit_dir or (scratch if settings.storage.kind == "inmem" else settings.data_dir)
    default = AuditDevice(kind="file", name="file", options={"file_path": str(Path(folder, "audit.log"))})
    return replace(settings, storage=storage, audit=settings.audit or (default,))


# --- clients ------------------------------------------------------------------------------------------------------------


def load_client_settings(environment: Mapping[str, str] | None = None) -> ClientSettings:
    """Return where client commands go: VAULT_ADDR or BAO_ADDR, VAULT_TOKEN or BAO_TOKEN, else the file ~/.vault-token."""
    found = os.environ if environment is None else environment
    token = found.get("VAULT_TOKEN") or found.get("BAO_TOKEN") or ""
    if not token and found.get("HOME"):
        try:
            token = Path(found["HOME"], ".vault-token").read_text().strip()
        except (OSError, UnicodeDecodeError):
            token = ""
    return ClientSettings(address=found.get("VAULT_ADDR") or found.get("BAO_ADDR") or f"http://{DEV_ADDRESS}", token=Secret(token))
