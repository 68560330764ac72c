from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from vault import options
from vault.config import combine, load_client_settings, load_settings, settle
from vault.config_file import WrongSetting, parse_file
from vault.settings import AuditDevice, Settings

LISTENER = 'listener "tcp" {\n  address = "127.0.0.1:5000"\n  tls_disable = true\n}\n'


def make(
    text: str = "", *, dev: bool = False, flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings that a file and other sources make."""
    return combine(dev=dev, flags=flags or {}, environment=environment or {}, files=(parse_file(text, "f"),) if text else ())


TLS = 'tls_cert_file = "/c"\n tls_key_file = "/k"\n'
STATIC = "00" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\nworkers = 0", "f:2: workers: expected a whole number from 1"),
        ("workers = true", "f:1: workers: expected a whole number"),
        ('workers = "two"', "f:1: workers: expected a whole number"),
        ('{\n"a": 1,\n"workers":\n"x"}', "f:3: workers: expected a whole number"),
        ('{"log_level": "\\"workers\\":",\n"workers": 0}', "f:2: workers: expected a whole number"),
        ('log_level = "loud"', "f:1: log_level: expected one of trace"),
        ('max_lease_ttl = "soon"', "f:1: max_lease_ttl: expected a duration"),
        ('default_lease_ttl = "2h"\nmax_lease_ttl = "1h"', "default_lease_ttl: expected at most"),
        ("data_dir = 5", "f:1: data_dir: expected text"),
        ("workers = [1]", "f:1: workers: expected a whole number"),
        ("workers {}", "f:1: workers: expected a whole number"),
        ("max_request_size = 0", "f:1: max_request_size: expected a whole number from 1"),
        ('max_request_duration = "-1s"', "f:1: max_request_duration: expected a duration"),
        ('cors_allowed_origins = ["*"]', "f:1: cors_allowed_origins: expected origins"),
        ('cors_allowed_origins = ["https://a/b"]', "f:1: cors_allowed_origins: expected origins"),
        ("cors_allowed_origins = [1]", "f:1: cors_allowed_origins: expected a list"),
        ('raw_storage_endpoint = "perhaps"', "f:1: raw_storage_endpoint: expected true or false"),
        ('listener "unix" {}', 'f:1: listener "unix": expected listener "tcp"'),
        ('listener "tcp" { address = "127.0.0.1:4117" }', "f:1: listener: expected tls_cert_file and tls_key_file, or tls_disable"),
        ('listener "tcp" {\n address = "here"\n tls_disable = 1\n}', "f:2: listener address: expected host:port"),
        ('listener "tcp" {\n address = "a:70000"\n tls_disable = 1\n}', "f:2: listener address: expected host:port"),
        (LISTENER * 2, "f:5: listener: expected addresses that differ"),
        ('listener "tcp" { tls_disable = "perhaps" }', "f:1: listener tls_disable: expected true or false"),
        (f'listener "tcp" {{\n{TLS}tls_min_version = "tls10"\n}}', "f:4: listener tls_min_version: expected one of tls12, tls13"),
        (
            f'listener "tcp" {{\n{TLS}tls_min_version = "tls13"\n tls_max_version = "tls12"\n}}',
            "f:1: listener: tls_min_version: expected at most",
        ),
        (f'listener "tcp" {{\n{TLS}tls_require_and_verify_client_cert = true\n}}', "f:1: listener: tls_client_ca_file: expected a file"),
        (
            f'listener "tcp" {{\n{TLS}tls_require_and_verify_client_cert = true\n tls_disable_client_certs = true\n}}',
            "f:1: listener: expected one of",
        ),
        (
            'listener "tcp" {\n tls_disable = 1\n x_forwarded_for_authorized_addrs = "a"\n}',
            "f:3: listener x_forwarded_for_authorized_addrs: expected IP",
        ),
        (
            'listener "tcp" {\n tls_disable = 1\n x_forwarded_for_client_cert_header = "Client-Cert"\n}',
            "f:1: listener: x_forwarded_for_client_cert_header: expected x_forwarded_for_authorized_addrs as well",
        ),
        (
            'listener "tcp" {\n tls_disable = 1\n x_forwarded_for_client_cert_header = "Client_Cert"\n}',
            "f:3: listener x_forwarded_for_client_cert_header: expected the name of a header",
        ),
        (
            'listener "tcp" {\n tls_disable = 1\n x_forwarded_for_client_cert_header_decoders = "PEM"\n}',
            "f:3: listener x_forwarded_for_client_cert_header_decoders: expected URL, BASE64 or DER",
        ),
        (
            'listener "tcp" {\n tls_disable = 1\n telemetry { unauthenticated_metrics_access = 5 }\n}',
            "f:3: listener telemetry: expected true",
        ),
        ('storage "raft" {}', 'f:1: storage "raft": expected one of postgresql'),
        ('storage "inmem" {}\nstorage "inmem" {}', "f:2: storage: expected one"),
        ('storage "postgresql" {}', "f:1: storage connection_url: expected a URL"),
        ('storage "postgresql" { connection_url = "host=a" }', "f:1: storage connection_url: expected a URL"),
        ('audit "file" "a" { options = "b" }', 'f:1: audit "file" "a" options: expected options'),
        ('audit "file" "a" {\n options = { file_path = [5] }\n}', 'f:2: audit "file" "a" options: expected options'),
        ('audit_checkpoint "raft" {}', 'f:1: audit_checkpoint "raft": expected one of file'),
        ('audit_checkpoint "file" { interval = "0s" }', "f:1: audit_checkpoint interval: expected a duration"),
        ('seal "awskms" {}', 'f:1: seal "awskms": expected one of static'),
        ('seal "static" {}', 'f:1: seal "static": current_key_id: expected a name'),
        ('seal "static" {\n current_key_id = "a"\n}', 'f:1: seal "static": current_key: expected 32 bytes'),
        (
            'seal "static" {\n current_key_id = "a"\n current_key = "file:///none"\n}',
            'f:1: seal "static": current_key: /none: No such file',
        ),
        (f'seal "static" {{\n current_key_id = "a"\n current_key = "{"x" * 32}"\n}}', 'f:1: seal "static": current_key: expected 32 bytes'),
        (
            f'seal "static" {{\n current_key_id = "a"\n current_key = "{STATIC}"\n previous_key_id = "b"\n}}',
            'f:1: seal "static": expected previous_key_id and previous_key together',
        ),
        ('telemetry { prometheus_retention_time = "x" }', "f:1: telemetry prometheus_retention_time: expected a duration"),
        ("workers", "f:1:8: "),
        ('listener "tcp" {\n  address = "here\n}', "f:2:18: literal not terminated"),
        ('api_addr = "vault.example"', "f:1: api_addr: expected a URL like https://"),
        ('default_max_request_duration = "soon"', "f:1: max_request_duration: expected a duration"),
        ('audit "file" { options = { file_path = "/a" } }', 'f:1: audit "file": expected a name, too, like audit "file" "main"'),
        ('audit "stdout" "a" {}\naudit "file" "a" {}', 'f:2: audit "file" "a": expected a name that no other audit device has'),
        (
            'seal "static" {\n current_key_id = "a"\n current_key = "env://NOT_THERE"\n}',
            'f:1: seal "static": current_key: NOT_THERE: expected a variable that is set',
        ),
        ("{", "f: "),
        ("storage = 5", "f:1: storage: expected a block"),
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
    assert set(settings.warnings) == {
        "f:1: unknown setting 'ui' has no effect",
        "f:2: unknown setting 'a' in telemetry has no effect",
        "f:7: unknown setting 'node_id' in storage has no effect",
    }


def test_names_of_audit_devices_differ_over_all_files() -> None:
    """A second device of one name would take the place of the first without a word."""
    files = (parse_file('audit "stdout" "a" {}', "f"), parse_file('audit "stdout" "a" {}', "g"))
    with pytest.raises(WrongSetting, match=r"^g:1: "):
        combine(dev=False, flags={}, environment={}, files=files)


def test_unknown_option_of_checkpoints_warns() -> None:
    """Else they would lie beside the log that they are to prove, and nobody would know."""
    settings = make('audit_checkpoint "file" {\n options = { path = "/mnt/a" }\n}')
    assert settings.warnings == ("f:2: unknown option 'path' of audit_checkpoint \"file\" has no effect",)


def test_unknown_variable_warns() -> None:
    """A misspelt variable is named like a misspelt key; one that holds a key of the seal is no setting."""
    seal = {"HEALTH_VAULT_SEAL_CURRENT_KEY_ID": "a", "HEALTH_VAULT_SEAL_CURRENT_KEY": "env://HEALTH_VAULT_KEY", "HEALTH_VAULT_KEY": STATIC}
    known = {"HEALTH_VAULT_CONFIG": "", "HEALTH_VAULT_LISTENER_ADDRESS": "127.0.0.1:1", "HEALTH_VAULT_STORAGE": '{"inmem": {}}'}
    assert make(environment=seal | known).warnings == ()
    of_file = 'seal "static" {\n current_key_id = "a"\n current_key = "env://HEALTH_VAULT_KEY"\n}'
    assert make(of_file, environment={"HEALTH_VAULT_KEY": STATIC}).warnings == ()
    assert make(environment={"HEALTH_VAULT_LOG_LEVL": "debug", "OTHER": ""}).warnings == (
        "unknown variable HEALTH_VAULT_LOG_LEVL has no effect",
    )


def test_every_block_can_be_a_variable() -> None:
    """Also the one without a label. What is no JSON is refused in words for somebody who sees the variable only."""
    assert make(environment={"HEALTH_VAULT_TELEMETRY": '{"prometheus_retention_time": "2h"}'}).prometheus_retention_seconds == 7200
    for kind in ("TELEMETRY", "AUDIT"):
        with pytest.raises(WrongSetting, match=rf"^HEALTH_VAULT_{kind}: expected JSON"):
            make(environment={f"HEALTH_VAULT_{kind}": "nonsense"})


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
    assert make(environment={"HEALTH_VAULT_STORAGE_CONNECTION_URL": "postgres://a/b"}).storage.kind == "postgresql"


@pytest.mark.parametrize(
    ("text", "environment", "device"),
    [
        ('storage "inmem" {}', {}, ("file", {"file_path": "/scratch/audit.log"})),
        ('storage "inmem" {}', {"HEALTH_VAULT_AUDIT_DIR": "/a"}, ("file", {"file_path": "/a/audit.log"})),
        ("", {"HEALTH_VAULT_DATA_DIR": "/d"}, ("postgres", {})),
    ],
)
def test_there_is_always_an_audit_device(text: str, environment: dict[str, str], device: tuple[str, dict[str, str]]) -> None:
    """A server that was told of none has a table in its database; what is thrown away has a file that is thrown away, too."""
    settled = settle(make(text, environment=environment), "/scratch")
    assert [(found.kind, found.options) for found in settled.audit] == [device]
    assert settled.storage.path


def test_every_setting_is_documented() -> None:
    """The page of settings names every key of every table, its variable and its default's meaning."""
    page = Path("docs/configuration.md").read_text()
    tables = {"": options.TOP, **options.BLOCKS, "audit": options.AUDIT, "audit_checkpoint": options.CHECKPOINT}
    missing = [f"{block} {option.name}" for block, table in tables.items() for option in table if f"`{option.name}`" not in page]
    assert missing == []


def test_hvac_test_configuration_is_read() -> None:
    """The JSON that hvac's own tests write is a configuration: older words, TLS, durations as text."""
    settings = make(
        """{"backend": {"inmem": {}},
        "listener": {"tcp": {"address": "127.0.0.1:5000", "tls_cert_file": "/c.pem", "tls_key_file": "/k.pem"}},
        "disable_mlock": true, "default_lease_ttl": "768h", "max_lease_ttl": "768h"}"""
    )
    (listener,) = settings.listeners
    assert listener.tls is not None
    assert (listener.url, listener.tls.cert_file, listener.tls.key_file) == ("https://127.0.0.1:5000", "/c.pem", "/k.pem")
    assert (settings.storage.kind, settings.disable_mlock, settings.max_lease_seconds) == ("inmem", True, 768 * 3600)
    assert settings.warnings == ()


def test_listener_says_what_strangers_may_do() -> None:
    """Nothing, where it does not say so."""
    closed, opened = make(
        LISTENER
        + """listener "tcp" {
          address = "127.0.0.1:5001"
          tls_disable = true
          max_request_size = 1000
          disable_unauthed_rekey_endpoints = false
          disable_unauthed_generate_root_endpoints = "false"
          telemetry { unauthenticated_metrics_access = true }
          inflight_requests_logging { unauthenticated_in_flight_requests_access = true }
          x_forwarded_for_authorized_addrs = "10.0.0.0/8,192.168.1.1"
        }"""
    ).listeners
    doors = ("unauthenticated_metrics", "unauthenticated_in_flight", "unauthenticated_rekey", "unauthenticated_generate_root")
    assert [getattr(closed, door) for door in doors] == [False] * 4
    assert [getattr(opened, door) for door in doors] == [True] * 4
    assert [str(network) for network in opened.proxies.networks] == ["10.0.0.0/8", "192.168.1.1/32"]
    assert (closed.body_bytes_max, opened.body_bytes_max) == (32 * 1024 * 1024, 1000)


def test_variable_of_a_block_beats_the_file() -> None:
    """Each key of a block has a variable and a flag; the JSON form of a block has one, too, and takes the place of the file's."""
    text = LISTENER + 'storage "embedded" { path = "/data" }\naudit "file" "a" {}'
    changed = make(
        text,
        environment={
            "HEALTH_VAULT_LISTENER_ADDRESS": "127.0.0.1:6000",
            "HEALTH_VAULT_STORAGE_PATH": "/other",
            "HEALTH_VAULT_AUDIT": '{"stdout": {"b": {"options": {"log_raw": false}}}}',
        },
        flags={"listener_max_request_size": "5"},
    )
    assert (changed.listeners[0].address.port, changed.listeners[0].body_bytes_max, changed.storage.path) == (6000, 5, "/other")
    assert changed.audit == (AuditDevice(kind="stdout", name="b", options={"log_raw": "false"}),)
    with pytest.raises(WrongSetting, match="HEALTH_VAULT_AUDIT"):
        make(text, environment={"HEALTH_VAULT_AUDIT": "{"})
    two = LISTENER + LISTENER.replace("5000", "5001")
    with pytest.raises(WrongSetting, match="no variable and no flag"):
        make(two, flags={"listener_address": "127.0.0.1:6000"})


def test_folder_and_several_files_add_up(tmp_path: Path) -> None:
    """A folder means its .hcl and .json files by name; a later file wins, and listeners and audit devices of all of them count."""
    (tmp_path / "b.hcl").write_text(f'threads = 3\n{LISTENER}storage "inmem" {{}}')
    (tmp_path / "c.json").write_text(
        '{"threads": 4, "storage": {"embedded": {"path": "/d"}}, "listener": [{"tcp": {"address": ":5001", "tls_disable": true}}]}'
    )
    (tmp_path / "a.txt").write_text("not read")
    settings = load_settings(files=(str(tmp_path),))
    assert (settings.threads, settings.storage.path, len(settings.listeners)) == (4, "/d", 2)


def test_static_key_comes_from_a_file_a_variable_or_the_text(tmp_path: Path) -> None:
    """Raw bytes only from a file; base64 and hex anywhere. The key is not shown."""
    raw = bytes(range(32))
    (tmp_path / "raw").write_bytes(raw)
    (tmp_path / "hex").write_text(raw.hex() + "\n")
    base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    for key, environment in (
        (f"file://{tmp_path}/raw", {}),
        (f"file://{tmp_path}/hex", {}),
        ("env://SEAL_KEY", {"SEAL_KEY": base64}),
        (base64, {}),
    ):
        settings = make(f'seal "static" {{\n current_key_id = "1"\n current_key = "{key}"\n}}', environment=environment)
        assert settings.seal is not None
        assert settings.seal.current_key.reveal() == raw.hex()
        assert raw.hex() not in repr(settings)


def test_client_settings_come_from_either_product(tmp_path: Path) -> None:
    """Variables of both products count; without a token variable, the token file does."""
    found = load_client_settings({"BAO_ADDR": "http://a:1", "BAO_TOKEN": "t"})
    assert (found.address, found.token.reveal()) == ("http://a:1", "t")
    assert load_client_settings({"VAULT_ADDR": "http://b:1", "BAO_ADDR": "http://a:1"}).address == "http://b:1"
    assert load_client_settings({}).address == "http://127.0.0.1:4117"
    (tmp_path / ".vault-token").write_text("from-file\n")
    assert load_client_settings({"HOME": str(tmp_path)}).token.reveal() == "from-file"


def test_client_settings_say_whom_to_trust() -> None:
    """TLS is verified unless somebody says otherwise; a misspelt wish is not taken for one."""
    assert load_client_settings({}).skip_verify is False
    found = load_client_settings({"BAO_CACERT": "/ca.pem", "VAULT_SKIP_VERIFY": "true", "VAULT_NAMESPACE": "a", "VAULT_CLIENT_CERT": "/c"})
    assert (found.ca_cert, found.skip_verify, found.namespace, found.client_cert) == ("/ca.pem", True, "a", "/c")
    with pytest.raises(WrongSetting, match="VAULT_SKIP_VERIFY"):
        load_client_settings({"VAULT_SKIP_VERIFY": "perhaps"})
