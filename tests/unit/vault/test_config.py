from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from vault.config import WrongSetting, combine, load_client_settings, load_settings, parse_file, settle
from vault.settings import AuditDevice, Settings

LISTENER = 'listener "tcp" {\n  address = "127.0.0.1:5000"\n  tls_disable = true\n}\n'


def make(
    text: str = "", *, dev: bool = False, flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings that a file and other sources make."""
    return combine(dev=dev, flags=flags or {}, environment=environment or {}, files=(parse_file(text),) if text else ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("workers = 0", "workers: expected a whole number from 1"),
        ("workers = true", "workers: expected a whole number"),
        ('workers = "two"', "workers: expected a whole number"),
        ('log_level = "loud"', "log_level: expected one of debug"),
        ('max_lease_ttl = "soon"', "max_lease_ttl: expected a duration"),
        ('default_lease_ttl = "2h"\nmax_lease_ttl = "1h"', "default_lease_ttl: expected at most"),
        ("data_dir = 5", "data_dir: expected text"),
        ('listener "unix" {}', "listener 'unix': expected tcp"),
        ('listener "tcp" { address = "127.0.0.1:4117" }', "listener: expected tls_disable"),
        ('listener "tcp" {\n address = "here"\n tls_disable = 1\n}', "address: expected host:port"),
        ('listener "tcp" {\n address = "a:70000"\n tls_disable = 1\n}', "address: expected host:port"),
        (LISTENER * 2, "listener: expected one"),
        ('listener "tcp" { tls_disable = "perhaps" }', "listener tls_disable: expected true or false"),
        ('storage "raft" {}', "storage 'raft': expected one of embedded"),
        ('storage "inmem" {}\nstorage "inmem" {}', "storage: expected one"),
        ('storage "postgresql" {}', "storage connection_url: expected a URL"),
        ('storage "postgresql" { connection_url = "host=a" }', "storage connection_url: expected a URL"),
        ('audit "file" "a" { options = "b" }', "audit 'file a': expected options"),
        ('audit "file" "a" {\n options = { file_path = 5 }\n}', "audit 'file a': expected options"),
        ("workers", "configuration file: "),
        ("{", "configuration file: "),
        ("storage = 5", "storage: expected a block"),
    ],
)
def test_wrong_setting_stops_the_start(text: str, expected: str) -> None:
    """The message names the setting and what it should have been."""
    with pytest.raises(WrongSetting) as wrong:
        make(text)
    assert str(wrong.value).startswith(expected)


def test_missing_file_stops_the_start(tmp_path: Path) -> None:
    """A file that cannot be read is not skipped."""
    with pytest.raises(WrongSetting, match=r"none\.hcl"):
        load_settings(files=(str(tmp_path / "none.hcl"),))


def test_connection_url_is_not_shown() -> None:
    """A URL holds a password: settings can be printed without it."""
    settings = make('storage "postgresql" { connection_url = "postgresql://a:canary@b/c" }')
    assert settings.storage.connection_url.reveal() == "postgresql://a:canary@b/c"
    assert "canary" not in repr(settings)


def test_later_source_wins() -> None:
    """Defaults, file, environment, flags: each one over those before it."""
    assert make().threads == 8
    assert make("threads = 2").threads == 2
    assert make("threads = 2", environment={"HEALTH_VAULT_THREADS": "3"}).threads == 3
    assert make("threads = 2", environment={"HEALTH_VAULT_THREADS": "3"}, flags={"threads": "4"}).threads == 4


def test_wrong_value_is_named_by_its_source() -> None:
    """Whoever has to correct it sees where it stands."""
    with pytest.raises(WrongSetting, match=r"^HEALTH_VAULT_THREADS: "):
        make(environment={"HEALTH_VAULT_THREADS": "many"})
    with pytest.raises(WrongSetting, match=r"^--pid-file: "):
        make(flags={"pid_file": 5})


def test_unknown_setting_only_warns() -> None:
    """Files written for Vault start us; what has no effect is named."""
    settings = make(f'ui = true\ntelemetry {{ a = 1 }}\n{LISTENER}storage "inmem" {{ node_id = "a" }}')
    assert settings.warnings == (
        "unknown setting 'telemetry' has no effect",
        "unknown setting 'ui' has no effect",
        "unknown setting 'node_id' in storage has no effect",
    )


@pytest.mark.parametrize(
    "text",
    [
        LISTENER + 'storage "embedded" { path = "/data" }\naudit "file" "a" { options = { file_path = "/a.log" } }\naudit "stdout" "b" {}',
        """{"listener": {"tcp": {"address": "127.0.0.1:5000", "tls_disable": 1}}, "storage": {"embedded": {"path": "/data"}},
        "audit": [{"file": {"a": {"options": {"file_path": "/a.log"}}}}, {"stdout": {"b": {}}}]}""",
    ],
)
def test_file_is_hcl_or_json(text: str) -> None:
    """Both forms of a file say the same."""
    settings = make(text)
    assert str(settings.listeners[0].address) == "127.0.0.1:5000"
    assert (settings.storage.kind, settings.storage.path) == ("embedded", "/data")
    assert settings.audit == (
        AuditDevice(kind="file", name="a", options={"file_path": "/a.log"}),
        AuditDevice(kind="stdout", name="b"),
    )


def test_storage_follows_from_what_is_given() -> None:
    """Without a word of storage: thrown away for development, else our own PostgreSQL in the data folder."""
    assert make(dev=True).storage.kind == "inmem"
    assert make(environment={"HEALTH_VAULT_DATA_DIR": "/d"}).storage.path == "/d"
    assert make(environment={"HEALTH_VAULT_CONNECTION_URL": "postgres://a/b"}).storage.kind == "postgresql"


@pytest.mark.parametrize(
    ("text", "environment", "path"),
    [
        ('storage "inmem" {}', {}, "/scratch/audit.log"),
        ('storage "inmem" {}', {"HEALTH_VAULT_AUDIT_DIR": "/a"}, "/a/audit.log"),
        ("", {"HEALTH_VAULT_DATA_DIR": "/d"}, "/d/audit.log"),
    ],
)
def test_there_is_always_an_audit_device(text: str, environment: dict[str, str], path: str) -> None:
    """A server that was told of none has one next to its data."""
    settled = settle(make(text, environment=environment), "/scratch")
    assert [device.options["file_path"] for device in settled.audit] == [path]
    assert settled.storage.path


def test_client_settings_come_from_either_product(tmp_path: Path) -> None:
    """Variables of both products count; without a token variable, the token file does."""
    found = load_client_settings({"BAO_ADDR": "http://a:1", "BAO_TOKEN": "t"})
    assert (found.address, found.token.reveal()) == ("http://a:1", "t")
    assert load_client_settings({"VAULT_ADDR": "http://b:1", "BAO_ADDR": "http://a:1"}).address == "http://b:1"
    assert load_client_settings({}).address == "http://127.0.0.1:4117"
    (tmp_path / ".vault-token").write_text("from-file\n")
    assert load_client_settings({"HOME": str(tmp_path)}).token.reveal() == "from-file"
