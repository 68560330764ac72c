import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.vault.audit.world import SALT, Page, body
from vault.audit import device
from vault.audit.device import DeviceConfig, make_device
from vault.audit.verify import verify
from vault.errors import InvalidRequest
from vault.options import DEVICE_OPTIONS


def _make(kind: str = "file", **options: Any) -> None:
    make_device(DeviceConfig(path="d/", kind=kind, slot=0, options=options), SALT, Page().host())


@pytest.mark.parametrize(
    "options",
    [
        {}, {"file_path": ""}, {"mode": "0700"}, {"mode": "0611"}, {"mode": "0444"}, {"mode": "0200"}, {"mode": "0o600"}, {"mode": "rw"},
        {"mode": "-600"},        {"mode": " 600"}, {"mode": "06000"}, {"mode": "4600"}, {"mode": ""},
        {"hmac_accessor": "maybe"}, {"log_raw": "yes please"}, {"sync": "perhaps"}, {"filter": "a,,b"}, {"filter": "a*b"}, {"filter": "!"},
        {"elide_list_responses": "2"}, {"format": "jsonx"}, {"prefix": "#!"},
        {"reserve_bytes": "-1"}, {"reserve_bytes": "1MB"}, {"reserve_bytes": "67108865"}, {"reserve_bytes": "1e3"},
    ],
)  # fmt: skip
def test_make_device_refuses_options_that_cannot_be(options: dict[str, str]) -> None:
    """A device that would be executable, unreadable for itself, misread or no JSON is not made."""
    with pytest.raises(InvalidRequest):
        _make(**({"file_path": "/var/log/x", **options} if options and "file_path" not in options else options))


@pytest.mark.parametrize("kind", ["", "http", "postgres", "FILE"])
def test_make_device_refuses_unknown_kinds(kind: str) -> None:
    """Whatever is no kind makes no device, nor does the database where there is none."""
    with pytest.raises(InvalidRequest):
        _make(kind, file_path="/x")


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "0600"},
        {"mode": "640"},
        {"mode": "0000"},
        {"hmac_accessor": "False"},
        {"log_raw": "1"},
        {"format": "json"},
        {"reserve_bytes": "0"},
    ],
)
def test_make_device_takes_vaults_options(options: dict[str, str]) -> None:
    """Their values are spelt as in Vault; nothing is opened yet."""
    _make(file_path="/nowhere/at/all", **options)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("socket", {}),
        ("socket", {"address": "here"}),
        ("socket", {"address": "host:0"}),
        ("socket", {"address": "host:65536"}),
        ("socket", {"address": ":80"}),
        ("socket", {"address": "0.0.0.0:80"}),
        ("socket", {"address": "host:80", "socket_type": "sctp"}),
        ("socket", {"address": "host:80", "socket_type": "unix"}),
        ("socket", {"address": "host:80", "write_timeout": "3s"}),
        ("socket", {"address": "host:80", "write_timeout": "0"}),
        ("syslog", {"facility": "NOSUCH"}),
        ("syslog", {"tag": "two words"}),
        ("syslog", {"tag": "x]: forged"}),
        ("syslog", {"address": "nowhere"}),
    ],
)
def test_make_device_refuses_places_that_cannot_be(kind: str, options: dict[str, str]) -> None:
    """An address, facility or tag that no record could go to, or a wait that would keep requests."""
    with pytest.raises(InvalidRequest):
        _make(kind, **options)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("socket", {"address": "host:80"}),
        ("socket", {"address": "[::1]:80", "socket_type": "udp", "write_timeout": "1s"}),
        ("socket", {"address": "/run/x", "socket_type": "unix"}),
        ("syslog", {}),
        ("syslog", {"facility": "LOCAL0", "tag": "vault-a", "address": "host:514", "socket_type": "tcp"}),
    ],
)
def test_make_device_takes_places(kind: str, options: dict[str, str]) -> None:
    """Nothing is looked up or connected yet."""
    _make(kind, **options)


@pytest.mark.parametrize("prefix", ["#!/bin/sh\n", '"', "{", "}", "\x00", "\u2028", "x" * 201])
def test_make_device_refuses_prefixes_that_make_another_line(prefix: str) -> None:
    """A prefix stays on its record's line, and is told apart from it; over the API there is none at all."""
    for declared, text in ((True, prefix), (False, "@cee: ")):
        config = DeviceConfig(path="d/", kind="file", slot=0, options={"file_path": "/x", "prefix": text}, declared=declared)
        with pytest.raises(InvalidRequest):
            make_device(config, SALT, Page().host())


def test_prefix_stands_before_each_record_and_is_hashed(tmp_path: Path) -> None:
    """The log verifies with its prefix, also after half a line was cut off, and a changed prefix is an edit."""
    log = tmp_path / "log"
    config = DeviceConfig(path="d/", kind="file", slot=0, options={"file_path": str(log), "prefix": "@cee: "}, declared=True)
    page = Page()
    device = make_device(config, SALT, page.host())
    device.chain.append(body(0))
    with log.open("ab") as file:
        file.write(b'@cee: {"ti')
    make_device(config, SALT, page.host()).chain.append(body(1))
    lines = log.read_bytes().splitlines(keepends=True)
    assert [line.startswith(b'@cee: {"time":"') for line in lines] == [True] * 3
    assert verify([log]).ok
    for changed in (lines[0].replace(b"@cee: ", b"@cef: "), lines[0].removeprefix(b"@cee: "), b"x" + lines[0]):
        log.write_bytes(changed + b"".join(lines[1:]))
        assert not verify([log]).ok


def test_sync_device_writes_as_others(tmp_path: Path) -> None:
    """Each batch is on the disk before it counts."""
    config = DeviceConfig(path="d/", kind="file", slot=0, options={"file_path": str(tmp_path / "log"), "sync": "true"})
    make_device(config, SALT, Page().host()).chain.append(body(0))
    assert verify([tmp_path / "log"]).records == 1


def test_with_salt_keeps_the_chain() -> None:
    """A device that hashes with another salt goes on in the same log."""
    device = make_device(DeviceConfig(path="d/", kind="stdout", slot=0), SALT, Page().host())
    other = device.with_salt(b"other")
    assert other.chain is device.chain
    assert other.hash_value("v") != device.hash_value("v")


def test_configuration_knows_every_option() -> None:
    """An option that devices read is not called unknown when the configuration names it, and no other is known."""
    text = Path(device.__file__).read_text()
    read = set(re.findall(r'(?:option|flag)\("(\w+)"', text))
    assert read == DEVICE_OPTIONS
