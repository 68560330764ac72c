from typing import Any

import pytest

from tests.unit.vault.audit.world import SALT, Page
from vault.audit.device import DeviceConfig, make_device
from vault.errors import InvalidRequest


def _make(kind: str = "file", **options: Any) -> None:
    make_device(DeviceConfig(path="d/", kind=kind, slot=0, options=options), SALT, Page().host())


@pytest.mark.parametrize(
    "options",
    [
        {}, {"file_path": ""}, {"mode": "0700"}, {"mode": "0611"}, {"mode": "0444"}, {"mode": "0200"}, {"mode": "0o600"}, {"mode": "rw"},
        {"mode": "-600"},        {"mode": " 600"}, {"mode": "06000"}, {"mode": "4600"}, {"mode": ""},
        {"hmac_accessor": "maybe"}, {"log_raw": "yes please"},
        {"elide_list_responses": "2"}, {"format": "jsonx"}, {"prefix": "#!"},
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
    "options", [{"mode": "0600"}, {"mode": "640"}, {"mode": "0000"}, {"hmac_accessor": "False"}, {"log_raw": "1"}, {"format": "json"}]
)
def test_make_device_takes_vaults_options(options: dict[str, str]) -> None:
    """Their values are spelt as in Vault; nothing is opened yet."""
    _make(file_path="/nowhere/at/all", **options)


def test_with_salt_keeps_the_chain() -> None:
    """A device that hashes with another salt goes on in the same log."""
    device = make_device(DeviceConfig(path="d/", kind="stdout", slot=0), SALT, Page().host())
    other = device.with_salt(b"other")
    assert other.chain is device.chain
    assert other.hash_value("v") != device.hash_value("v")
