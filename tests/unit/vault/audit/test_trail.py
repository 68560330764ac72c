"""The records of a request, through real devices into real files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.unit.vault.audit.world import (
    MOUNT,
    NOW,
    SALT,
    TOKEN,
    TOKEN_ID,
    Page,
    make_mount,
    make_principal,
    make_request,
    read_records,
)  # fmt: skip
from vault.audit.hasher import Hasher
from vault.audit.record import encode
from vault.audit.trail import Broker, Trail
from vault.audit.verify import verify
from vault.errors import AuditFailed, DeniedByPolicy, OutcomeUnknown, PermissionDenied
from vault.logical.args import Number
from vault.logical.mount import Mount
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.logical.response import Auth, Lease, Response, WrapInfo
from vault.secret import Secret

_hash = Hasher(SALT).hash_text
NO_OPTIONS: Mapping[str, str] = {}


def _answer(broker: Broker, request: Request, response: Response | None = None, mount: Mount = MOUNT, **changes: Any) -> None:
    with broker.open(request) as trail:
        trail.admit(make_principal(request, **changes), mount)
        trail.close(response)


def _handle(broker: Broker, request: Request, *steps: Callable[[Trail], None]) -> None:
    with broker.open(request) as trail:
        for step in steps:
            step(trail)


def _admit(trail: Trail) -> None:
    trail.admit(make_principal(trail._request), MOUNT)


def _recognise(trail: Trail) -> None:
    trail.recognise(make_principal(trail._request), MOUNT)


def _close(trail: Trail) -> None:
    trail.close(None)


def _fail(error: Exception) -> Callable[[Trail], None]:
    def step(_: Trail) -> None:
        raise error

    return step


def _record(
    tmp_path: Path, request: Request, response: Response | None = None, mount: Mount = MOUNT, options: Mapping[str, str] = NO_OPTIONS
) -> list[dict[str, Any]]:
    _answer(Page().broker(Page().device(tmp_path / "a", 0, **options)), request, response, mount)
    return read_records(tmp_path / "a")


# --- refusals -------------------------------------------------------------------------------------------------------------


def test_admit_refuses_when_no_device_accepts(tmp_path: Path) -> None:
    """The work does not begin."""
    (tmp_path / "a").mkdir()
    page = Page()
    reached: list[Trail] = []
    with pytest.raises(AuditFailed):
        _handle(page.broker(page.device(tmp_path / "a")), make_request(), _admit, reached.append)
    assert not reached


def test_close_refuses_when_no_device_accepts(tmp_path: Path) -> None:
    """An answer that cannot be put on record does not leave."""
    page = Page()
    with pytest.raises(AuditFailed):
        _handle(page.broker(page.device(tmp_path / "a")), make_request(), _admit, lambda _: (tmp_path / "a").chmod(0), _close)
    assert [record["type"] for record in read_records(tmp_path / "a")] == ["request"]


def test_exit_refuses_an_answer_that_nobody_recorded(tmp_path: Path) -> None:
    """Code that forgets to close the trail cannot answer."""
    page = Page()
    with pytest.raises(AuditFailed):
        _handle(page.broker(page.device(tmp_path / "a")), make_request(), _admit)


def test_exit_replaces_a_refusal_that_cannot_be_recorded(tmp_path: Path) -> None:
    """Who is refused while nothing can be recorded learns nothing of why."""
    (tmp_path / "a").mkdir()
    page = Page()
    with pytest.raises(AuditFailed):
        _handle(page.broker(page.device(tmp_path / "a")), make_request(), _fail(PermissionDenied()))


def test_record_needs_one_device_of_several(tmp_path: Path) -> None:
    """One device that accepts is enough, in whatever order they stand; the others go on without a gap of their own."""
    (tmp_path / "a").mkdir()
    page = Page()
    devices = page.device(tmp_path / "a", 0), page.device(tmp_path / "b", 1)
    _answer(page.broker(*devices), make_request())
    _answer(page.broker(*devices[::-1]), make_request())
    (tmp_path / "a").rmdir()
    (tmp_path / "a").touch()
    _answer(page.broker(*devices), make_request())
    assert verify([tmp_path / "a"]).records == 2
    assert verify([tmp_path / "b"]).records == 6


def test_record_needs_nothing_without_devices() -> None:
    """No device was configured: nothing is refused."""
    _answer(Page().broker(), make_request())


# --- what is recorded -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "text"), [(PermissionDenied(), "permission denied"), (DeniedByPolicy(), DeniedByPolicy.message)])
def test_refusal_before_admission_is_recorded(tmp_path: Path, error: Exception, text: str) -> None:
    """A refused request has its request and its response record, with one id and the reason."""
    page = Page()
    with pytest.raises(type(error)):
        _handle(page.broker(page.device(tmp_path / "a")), make_request(), _fail(error))
    first, second = read_records(tmp_path / "a")
    assert (first["type"], second["type"]) == ("request", "response")
    assert first["request"] == second["request"]
    assert first["error"] == second["error"] == text
    assert first["auth"] == {"token_type": "default"}
    assert first["request"]["client_token"] == _hash(TOKEN_ID)
    assert "response" not in first


def test_refusal_names_who_was_recognised(tmp_path: Path) -> None:
    """As in Vault, the record of a denied request says whose token it was, and that it was not allowed."""
    page, request = Page(), make_request()
    broker = page.broker(page.device(tmp_path / "a"))
    _answer(broker, request)  # what is remembered of an allowed request must not show here
    with pytest.raises(DeniedByPolicy):
        _handle(broker, request, _recognise, _fail(DeniedByPolicy()))
    record = read_records(tmp_path / "a")[2]
    assert record["auth"]["policy_results"] == {"allowed": False}
    assert record["auth"]["accessor"] == _hash("the-accessor")
    assert record["request"]["mount_point"] == "secret/"
    _answer(broker, request)
    assert read_records(tmp_path / "a")[4]["auth"]["policy_results"]["allowed"] is True


def test_failure_after_admission_is_recorded(tmp_path: Path) -> None:
    """What is no refusal of ours is on record without its text, which may hold anything."""
    page = Page()
    with pytest.raises(RuntimeError):
        _handle(page.broker(page.device(tmp_path / "a")), make_request(), _admit, _fail(RuntimeError("password=hunter2")))
    first, second = read_records(tmp_path / "a")
    assert "error" not in first
    assert second["error"] == "internal error"


def test_failure_after_the_response_is_recorded_once(tmp_path: Path) -> None:
    """When the response record turns out wrong a third record says so."""
    page, unknown = Page(), OutcomeUnknown()
    with pytest.raises(OutcomeUnknown):
        _handle(
            page.broker(page.device(tmp_path / "a")), make_request(), _admit, _close, lambda trail: trail.amend(unknown), _fail(unknown)
        )
    with pytest.raises(RuntimeError):
        _handle(page.broker(page.device(tmp_path / "b", 1)), make_request(), _admit, _close, _fail(RuntimeError()))
    for name in "ab":
        assert [record["type"] for record in read_records(tmp_path / name)] == ["request", "response", "outcome"]


def test_read_is_recorded_in_vaults_format(tmp_path: Path) -> None:
    """Every member stands where Vault has it, values are hashed, and what is empty is left out."""
    data = {"data": {"name": "Ada"}, "metadata": {"version": 1, "destroyed": False, "custom_metadata": None, "deletion_time": ""}}
    first, second = _record(tmp_path, make_request(), Response(data=data, lease=Lease(id="l/1", duration_seconds=5), warnings=("w",)))
    mount = {"mount_point": "secret/", "mount_type": "kv", "mount_accessor": "kv_1", "mount_class": "secret"}
    request = {
        "id": "11111111-2222-4333-8444-555555555555",
        "operation": "read",
        **mount,
        "client_token": _hash(TOKEN_ID),
        "client_token_accessor": _hash("the-accessor"),
        "namespace": {"id": "root"},
        "path": "secret/data/patient",
        "remote_address": "192.0.2.7",
        "remote_port": 4711,
    }
    auth = {
        "client_token": _hash(TOKEN_ID),
        "accessor": _hash("the-accessor"),
        "display_name": "nurse",
        "policies": ["default", "ward"],
        "token_policies": ["default", "ward"],
        "policy_results": {"allowed": True, "granting_policies": [{"name": "ward", "namespace_id": "root", "type": "acl"}]},
        "token_type": "service",
        "token_issue_time": "1970-01-01T00:00:00Z",
    }
    chain = {"log": first["log"], "seq": 1, "prev": "0" * 64, "hash": first["hash"]}
    assert first == {"time": NOW, "type": "request", "auth": auth, "request": request, **chain}
    assert second["auth"] == auth
    assert second["request"] == request
    assert second["response"] == {
        "data": {
            "data": {"name": _hash("Ada")},
            "metadata": {"version": _hash("1"), "destroyed": _hash("false"), "custom_metadata": None, "deletion_time": _hash("")},
        },
        "secret": {"lease_id": "l/1"},
        "warnings": ["w"],
        **mount,
    }


def test_new_token_and_wrapping_are_recorded_hashed(tmp_path: Path) -> None:
    """Neither a token that is handed out nor one that wraps an answer stands in the log, nor their accessors."""
    auth = Auth(
        client_token=Secret("hvs.new"), accessor="acc-new", policies=("p",), token_policies=("p",), metadata={"user": "u"},
        lease_duration_seconds=3600, renewable=True, orphan=False, num_uses=5, display_name="token",
    )  # fmt: skip
    wrap = WrapInfo(
        token=Secret("hvs.wrap"), accessor="acc-wrap", ttl_seconds=60, creation_time="t", creation_path="p", wrapped_accessor="acc-new"
    )
    _, second = _record(tmp_path, make_request(wrap_ttl_seconds=60), Response(auth=auth, wrap_info=wrap))
    assert second["request"]["wrap_ttl"] == 60
    assert second["response"]["auth"] == {
        "client_token": _hash("hvs.new"), "accessor": _hash("acc-new"), "display_name": "token", "policies": ["p"], "token_policies": ["p"],
        "metadata": {"user": "u"}, "num_uses": 5, "token_type": "service", "token_ttl": 3600,
    }  # fmt: skip
    assert second["response"]["wrap_info"] == {
        "token": _hash("hvs.wrap"), "accessor": _hash("acc-wrap"), "ttl": 60, "creation_time": "t", "creation_path": "p",
        "wrapped_accessor": _hash("acc-new"),
    }  # fmt: skip
    text = (tmp_path / "a").read_text()
    assert not any(secret in text for secret in ("hvs.", "acc-", TOKEN_ID, "the-accessor"))


def test_options_of_a_device_show_in_its_records(tmp_path: Path) -> None:
    """hmac_accessor, log_raw and elide_list_responses do what they do in Vault."""
    listing = Response(data={"keys": ["a", "b"], "key_info": {"a": {}}, "next": "x"})
    page = Page()
    broker = page.broker(
        page.device(tmp_path / "accessor", 0, hmac_accessor="false"),
        page.device(tmp_path / "raw", 1, log_raw="true"),
        page.device(tmp_path / "elide", 2, elide_list_responses="true"),
    )
    _answer(broker, make_request(operation=Operation.LIST), listing)
    _answer(broker, make_request(), listing)
    found = {name: read_records(tmp_path / name) for name in ("accessor", "raw", "elide")}
    assert found["accessor"][1]["auth"]["accessor"] == "the-accessor"
    assert found["accessor"][1]["response"]["data"]["keys"] == [_hash("a"), _hash("b")]
    assert found["raw"][1]["response"]["data"] == {"keys": ["a", "b"], "key_info": {"a": {}}, "next": "x"}
    assert found["raw"][1]["auth"]["client_token"] == _hash(TOKEN_ID)
    assert found["elide"][1]["response"]["data"] == {"keys": 2, "key_info": 1, "next": _hash("x")}
    assert found["elide"][3]["response"]["data"]["keys"] == [_hash("a"), _hash("b")]


def test_clear_keys_of_a_mount_show_in_its_records(tmp_path: Path) -> None:
    """Request and response have their own keys."""
    mount = make_mount(audit_non_hmac_request_keys=("a",), audit_non_hmac_response_keys=("b",))
    request = make_request(operation=Operation.UPDATE, data={"a": "1", "b": "2"})
    _, second = _record(tmp_path, request, Response(data={"a": "1", "b": "2"}), mount)
    assert second["request"]["data"] == {"a": "1", "b": _hash("2")}
    assert second["response"]["data"] == {"a": _hash("1"), "b": "2"}


def test_a_token_that_changed_is_described_anew(tmp_path: Path) -> None:
    """What is remembered of a token holds only for the very same token and grant."""
    page, request = Page(), make_request()
    broker = page.broker(page.device(tmp_path / "a"))
    for token, granting in (
        (TOKEN, ("ward",)),
        (structs.replace(TOKEN, uses_left=0), ("ward",)),
        (TOKEN, ("other",)),
        (structs.replace(TOKEN, key=""), ("x",)),
    ):
        _answer(broker, request, token=token, granting_policies=granting)
    auths = [record["auth"] for record in read_records(tmp_path / "a")[::2]]
    assert [auth.get("remaining_uses") for auth in auths] == [None, 0, None, None]
    assert [auth["policy_results"]["granting_policies"][0]["name"] for auth in auths] == ["ward", "ward", "other", "x"]


def test_records_say_create_where_an_update_became_one(tmp_path: Path) -> None:
    """The operation that was decided on is the one on record."""
    page, request = Page(), make_request(operation=Operation.UPDATE)
    _answer(page.broker(page.device(tmp_path / "a")), request, seen=structs.replace(request, operation=Operation.CREATE))
    assert read_records(tmp_path / "a")[0]["request"]["operation"] == "create"


# --- one line, whatever is in it ---------------------------------------------------------------------------------------------

_NASTY = (
    "\r\n",
    "\n",
    "\u2028",
    "\u2029",
    "\u0085",
    "\x1b[2J",
    "\x00",
    "\udc80",
    "\ud800",
    '","hash":"',
    "\\",
    "x" * 1024 * 1024,
    "\ufeff",
    "\u202e",
)


@pytest.mark.parametrize("text", _NASTY, ids=range(len(_NASTY)))
def test_records_are_one_line_whatever_a_client_sends(tmp_path: Path, text: str) -> None:
    """Path, user agent, display name, metadata, keys, realm and error cannot break, forge or silence a record."""
    page = Page()
    request = make_request(path=f"secret/{text}", headers={"user-agent": text, text: "x"}, data={text: text, "n": Number("1.50")}, id=text)
    token = structs.replace(TOKEN, display_name=text, meta={"m": text}, policies=(text,), accessor=text)
    broker = page.broker(page.device(tmp_path / "hashed", 0), page.device(tmp_path / "raw", 1, log_raw="true", hmac_accessor="false"))
    broker.headers = {"user-agent": False, text: False}
    with pytest.raises(PermissionDenied):
        _handle(
            broker,
            request,
            lambda trail: trail.admit(make_principal(request, token=token), MOUNT),
            _fail(PermissionDenied(f"denied {text}")),
        )
    _answer(broker, request, Response(data={text: [text]}, warnings=(text,)), token=token)
    shown = text.encode("utf-8", "backslashreplace").decode()
    for name in ("hashed", "raw"):
        lines = (tmp_path / name).read_text().splitlines()  # where any reader of text breaks lines
        assert len(lines) == 4
        records = read_records(tmp_path / name)
        assert records[0]["request"]["path"] == f"secret/{shown}"
        assert records[0]["auth"]["display_name"] == shown
        assert records[0]["request"]["headers"]["user-agent"] == [shown]
        assert records[1]["error"] == f"denied {shown}"
        assert records[3]["response"]["warnings"] == [shown]
        assert verify([tmp_path / name]).ok


def test_credentials_are_hashed_whatever_the_broker_is_told(tmp_path: Path) -> None:
    """A row that somebody changed shows no token either."""
    page = Page()
    broker = page.broker(page.device(tmp_path / "log", log_raw="true"))
    broker.headers = {"x-vault-token": False, "authorization": False, "x-other": False}
    _answer(broker, make_request(headers={"x-vault-token": "hvs.t", "authorization": "Bearer hvs.t", "x-other": "o"}), Response())
    shown = read_records(tmp_path / "log")[0]["request"]["headers"]
    assert shown["x-other"] == ["o"]
    assert "hvs.t" not in (tmp_path / "log").read_text()
    assert shown["x-vault-token"][0].startswith("hmac-sha256:")


def _nest(depth: int) -> Any:
    value: Any = {"leaf": "v"}
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [_nest(298), 2**70, -(2**65), Number("1e500"), float("nan"), b"raw", MappingProxyType({"a": 1}), {1: 2}], ids=range(8)
)
@pytest.mark.parametrize("options", [{}, {"log_raw": "true"}], ids=["hashed", "raw"])
def test_records_take_any_value(tmp_path: Path, value: Any, options: Mapping[str, str]) -> None:
    """What no JSON encoder likes is written all the same: a request that is accepted can be put on record."""
    _record(tmp_path, make_request(data={"v": value, "\udc80": "x"}), Response(data={"v": value}), options=options)
    assert verify([tmp_path / "a"]).records == 2


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)), inner), max_leaves=20))  # fmt: skip
def test_encode_is_one_line_of_json_for_any_value(value: Any) -> None:
    """No value breaks the encoder or the line."""
    text = encode(value)
    assert b"\n" not in text
    assert b"\r" not in text
    orjson.loads(text)
