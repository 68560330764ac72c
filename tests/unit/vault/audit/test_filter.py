from pathlib import Path

import pytest

from tests.unit.vault.audit.world import MOUNT, Page, make_principal, make_request, read_records
from vault.audit.device import DeviceConfig, require_complete
from vault.audit.filter import PATTERNS_MAX, PathFilter
from vault.errors import AuditFailed, InvalidRequest


@pytest.mark.parametrize("text", ["", ",", "a,", "!", "a*b", "*/x", "a,!", ",".join(f"p{index}" for index in range(PATTERNS_MAX + 1))])
def test_filter_refuses_what_is_no_pattern(text: str) -> None:
    """A misspelt filter does not silently leave records out."""
    with pytest.raises(ValueError, match="filter must be"):
        PathFilter(text)


@pytest.mark.parametrize(
    ("text", "path", "taken"),
    [
        ("secret/*", "secret/a/b", True),
        ("secret/*", "sys/mounts", False),
        ("secret/a", "secret/a", True),
        ("secret/a", "secret/ab", False),
        ("auth/+/login/*, secret/*", "auth/userpass/login/x", True),
        ("secret/*, !secret/public/*", "secret/public/a", False),
        ("secret/*, !secret/public/*", "secret/other", True),
        ("!secret/public/*", "secret/public/a", False),
        ("!secret/public/*", "sys/mounts", True),
        ("secret/dir", "secret/dir/", True),
    ],
)
def test_filter_takes_paths_as_policies_do(text: str, path: str, taken: bool) -> None:
    """The pattern that a policy would prefer decides."""
    assert PathFilter(text).takes(path) is taken


def test_device_that_leaves_a_path_out_accepts_nothing_of_it(tmp_path: Path) -> None:
    """What no device has taken does not happen: a filtered device does not stand in for one that fails."""
    page = Page()
    (tmp_path / "broken").mkdir()
    filtered = page.device(tmp_path / "filtered", 0, filter="auth/*")
    broker = page.broker(filtered, page.device(tmp_path / "broken", 1))
    with broker.open(make_request(path="auth/token/lookup-self")) as trail:
        trail.admit(make_principal(make_request()), MOUNT)
        trail.close(None)
    trail = broker.open(make_request())
    with pytest.raises(AuditFailed):
        trail.admit(make_principal(make_request()), MOUNT)
    assert {record["request"]["path"] for record in read_records(tmp_path / "filtered")} == {"auth/token/lookup-self"}


def test_one_device_must_be_without_a_filter() -> None:
    """Otherwise a path could be on record nowhere."""
    filtered = DeviceConfig(path="a/", kind="stdout", slot=0, options={"filter": "x"})
    plain = DeviceConfig(path="b/", kind="stdout", slot=1)
    with pytest.raises(InvalidRequest, match="without a filter"):
        require_complete((filtered,))
    require_complete((filtered, plain))
    require_complete(())
