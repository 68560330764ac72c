"""What somebody without a token can put into the log."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.vault.audit.world import MOUNT, Page, make_principal, make_request, read_records
from vault.authority import Principal
from vault.errors import PermissionDenied
from vault.limits import STRANGER_DATA_BYTES_MAX, VITAL_DATA_BYTES_MAX
from vault.logical.request import Request
from vault.modules.policy.acl import EMPTY_ACL
from vault.secret import Secret

LARGE: dict[str, dict[str, Any]] = {
    "list": {"a": list(range(20_000))},
    "key": {"k" * 100_000: 1},
    "nested": {"deep": [[[1] * 1000]] * 3},
}


def _be_refused(log: Path, request: Request) -> None:
    page = Page()
    with pytest.raises(PermissionDenied), page.broker(page.device(log)).open(request):
        raise PermissionDenied


@pytest.mark.parametrize("data", LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("token", [None, Secret("nobody-knows-it")], ids=["none", "unknown"])
def test_large_body_takes_little_of_the_log(tmp_path: Path, token: Secret | None, data: dict[str, Any]) -> None:
    """However small the values are, the records stay within their bound; the same body shows the same hash."""
    log = tmp_path / "log"
    for _ in range(2):
        _be_refused(log, make_request(data=dict(data), token=token))
    shown = [record["request"]["data"] for record in read_records(log)]
    assert shown == [shown[0]] * 4
    assert shown[0].startswith("hmac-sha256:")
    assert log.stat().st_size < 4 * STRANGER_DATA_BYTES_MAX


def test_vital_body_takes_little_of_the_reserve(tmp_path: Path) -> None:
    """Shares come without a token, also from those who have none: a record of that takes no more than a share needs."""
    log, page = tmp_path / "log", Page()
    request = make_request(data={"key": "00", "more": [1] * 500}, token=None)
    with page.broker(page.device(log)).open(request) as trail:
        trail.admit(Principal(request=request, token=None, acl=EMPTY_ACL), MOUNT, vital=True)
        trail.close(None)
    assert log.stat().st_size < 4 * VITAL_DATA_BYTES_MAX


def test_small_body_is_shown_by_member(tmp_path: Path) -> None:
    """So that an auditor finds who tried to log in, and with which keys somebody initialised."""
    log = tmp_path / "log"
    _be_refused(log, make_request(data={"password": "x" * 60_000, "pgp_keys": ["k"] * 255}, token=None))
    assert [record["request"]["data"].keys() for record in read_records(log)] == [{"password", "pgp_keys"}] * 2


@pytest.mark.parametrize("data", LARGE.values(), ids=LARGE)
def test_large_body_with_a_token_is_shown_by_member(tmp_path: Path, data: dict[str, Any]) -> None:
    """Who it is, is known: the whole of what was written is on record."""
    log, page = tmp_path / "log", Page()
    request = make_request(data=data)
    with page.broker(page.device(log)).open(request) as trail:
        trail.admit(make_principal(request), MOUNT)
        trail.close(None)
    assert [record["request"]["data"].keys() for record in read_records(log)] == [data.keys()] * 2
