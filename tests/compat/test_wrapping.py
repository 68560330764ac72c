"""Response wrapping: any answer, lookup, rewrap, unwrap in both forms, once."""

from __future__ import annotations

from typing import Any

import hvac
import hvac.exceptions
import pytest

from tests.compat.command import Command
from tests.compat.wire import Wire

INVALID = ["wrapping token is not valid or does not exist"]
FIVE_MINUTES = "5m"


@pytest.fixture
def wrapped(root: Wire, kv2: str) -> dict[str, Any]:
    """Return the wrap_info of a wrapped read of a secret."""
    root.put(f"{kv2}/data/a", {"data": {"k": "v"}})
    answer = root.get(f"{kv2}/data/a", X_Vault_Wrap_TTL=FIVE_MINUTES)
    assert answer.status == 200, answer.body
    info: dict[str, Any] = answer.json["wrap_info"]
    assert info["creation_path"] == f"{kv2}/data/a"
    return info


def test_wrapped_answer_has_only_the_wrapping(root: Wire, kv2: str) -> None:
    """Data and auth are null, wrap_info names token, accessor, lifetime, time and path."""
    root.put(f"{kv2}/data/a", {"data": {"k": "v"}})
    body = root.get(f"{kv2}/data/a", X_Vault_Wrap_TTL=FIVE_MINUTES).json
    assert (body["data"], body["auth"], body["lease_id"]) == (None, None, "")
    assert body["wrap_info"].keys() == {"token", "accessor", "ttl", "creation_time", "creation_path"}
    assert body["wrap_info"]["ttl"] == 300


@pytest.mark.parametrize(("header", "seconds"), [("60", 60), ("60s", 60), ("5m", 300), ("1h30m", 5400), ("1d", 86400)])
def test_wrapping_time_is_a_duration(root: Wire, header: str, seconds: int) -> None:
    """The header takes seconds and durations."""
    assert root.get("sys/mounts", X_Vault_Wrap_TTL=header).json["wrap_info"]["ttl"] == seconds


@pytest.mark.parametrize("header", ["abc", "-5", "1.5", "5x", "9999999999999"])
def test_bad_wrapping_time_is_refused(root: Wire, header: str) -> None:
    """A time that is none is a 400, whatever the path."""
    answer = root.get("sys/mounts", X_Vault_Wrap_TTL=header)
    assert answer.status == 400
    assert "X-Vault-Wrap-TTL" in answer.errors[0]


def test_answers_without_body_and_status_pages_are_not_wrapped(root: Wire, anonymous: Wire, kv1: str) -> None:
    """A 204, a 404 and the bare status pages stay as they are; zero and empty mean no wrapping."""
    assert root.put(f"{kv1}/a", {"k": "v"}, X_Vault_Wrap_TTL="60").status == 204
    assert root.get(f"{kv1}/none", X_Vault_Wrap_TTL="60").json == {"errors": []}
    assert anonymous.get("sys/seal-status", X_Vault_Wrap_TTL="60").json["sealed"] is False
    for header in ("0", ""):
        assert root.get(f"{kv1}/a", X_Vault_Wrap_TTL=header).data == {"k": "v"}


@pytest.mark.usefixtures("ours_only")
@pytest.mark.parametrize("path", ["sys/internal/ui/mounts", "sys/internal/specs/openapi", "sys/health"])
def test_strangers_leave_no_wrapping_behind(anonymous: Wire, path: str) -> None:
    """A public answer that was asked for without a token stays as it is: nobody fills the storage without one."""
    assert not anonymous.get(path, X_Vault_Wrap_TTL="60").json.get("wrap_info")


def test_unwrap_by_body_gives_the_original_answer_once(root: Wire, wrapped: dict[str, Any]) -> None:
    """The second unwrap and any lookup after it are refused."""
    first = root.post("sys/wrapping/unwrap", {"token": wrapped["token"]})
    assert (first.status, first.data["data"], first.json["wrap_info"]) == (200, {"k": "v"}, None)
    for _ in range(4):
        assert root.post("sys/wrapping/unwrap", {"token": wrapped["token"]}).errors == INVALID
    assert root.post("sys/wrapping/lookup", {"token": wrapped["token"]}).errors == INVALID


def test_unwrap_by_the_wrapping_token_itself(root: Wire, wrapped: dict[str, Any]) -> None:
    """The wrapping token authenticates its own unwrap, once, and nothing else."""
    holder = root.with_token(wrapped["token"])
    assert holder.post("sys/wrapping/unwrap").data["data"] == {"k": "v"}
    assert holder.post("sys/wrapping/unwrap").errors == INVALID
    assert holder.get("auth/token/lookup-self").status == 403


def test_unwrap_by_body_needs_a_token_of_ones_own(anonymous: Wire, wrapped: dict[str, Any]) -> None:
    """A body token without any authentication is a denial."""
    assert anonymous.post("sys/wrapping/unwrap", {"token": wrapped["token"]}).status == 403


def test_lookup_tells_the_facts_and_does_not_consume(root: Wire, anonymous: Wire, wrapped: dict[str, Any]) -> None:
    """Lookup is public and works any number of times."""
    for sender, body in (
        (root, {"token": wrapped["token"]}),
        (anonymous, {"token": wrapped["token"]}),
        (root.with_token(wrapped["token"]), None),
    ):
        answer = sender.post("sys/wrapping/lookup", body)
        expected = {"creation_path": wrapped["creation_path"], "creation_time": wrapped["creation_time"], "creation_ttl": 300}
        assert answer.data == expected
    assert root.with_token(wrapped["token"]).get("sys/wrapping/lookup").data["creation_ttl"] == 300
    assert root.post("sys/wrapping/unwrap", {"token": wrapped["token"]}).status == 200


def test_rewrap_moves_the_secret_to_a_new_token(root: Wire, wrapped: dict[str, Any]) -> None:
    """The old token dies; the new one has the same lifetime and path."""
    again = root.post("sys/wrapping/rewrap", {"token": wrapped["token"]}).json["wrap_info"]
    assert (again["ttl"], again["creation_path"]) == (300, wrapped["creation_path"])
    assert again["token"] != wrapped["token"]
    assert root.post("sys/wrapping/unwrap", {"token": wrapped["token"]}).errors == INVALID
    assert root.post("sys/wrapping/unwrap", {"token": again["token"]}).data["data"] == {"k": "v"}


def test_old_way_reads_cubbyhole_response(root: Wire, wrapped: dict[str, Any]) -> None:
    """cubbyhole/response holds the answer as a string, with a warning, and is read once."""
    holder = root.with_token(wrapped["token"])
    answer = holder.get("cubbyhole/response")
    assert '"k":"v"' in answer.data["response"]
    assert "deprecated" in answer.json["warnings"][0]
    assert holder.get("cubbyhole/response").status == 403


def test_any_use_of_the_wrapping_token_spends_it(root: Wire, wrapped: dict[str, Any]) -> None:
    """A denied request with the wrapping token was its one use: nobody can unwrap afterwards."""
    assert root.with_token(wrapped["token"]).get("auth/token/lookup-self").status == 403
    assert root.post("sys/wrapping/unwrap", {"token": wrapped["token"]}).errors == INVALID


def test_wrapped_token_creation_names_the_accessor(root: Wire) -> None:
    """The wrapping of an `auth` answer tells the accessor inside, and the token works after unwrapping."""
    info = root.post("auth/token/create", {"policies": ["default"]}, X_Vault_Wrap_TTL="60").json["wrap_info"]
    inner = root.with_token(info["token"]).post("sys/wrapping/unwrap").auth
    assert inner["accessor"] == info["wrapped_accessor"]
    assert root.with_token(inner["client_token"]).get("auth/token/lookup-self").status == 200


def test_wrap_stores_any_object(root: Wire) -> None:
    """sys/wrapping/wrap gives back what was sent; without a lifetime it is refused."""
    body = {"text": "x", "list": [1, 2], "nested": {"a": {"b": None}}}
    info = root.post("sys/wrapping/wrap", body, X_Vault_Wrap_TTL="60").json["wrap_info"]
    assert info["creation_path"] == "sys/wrapping/wrap"
    assert root.post("sys/wrapping/unwrap", {"token": info["token"]}).data == body
    refused = root.post("sys/wrapping/wrap", body)
    assert (refused.status, refused.errors) == (400, ["endpoint requires response wrapping to be used"])


@pytest.mark.parametrize("verb", ["lookup", "unwrap", "rewrap"])
@pytest.mark.parametrize("token", ["nosuch", "compat-root", "hvs.nosuch", "s.nosuch"])
def test_tokens_that_wrap_nothing_are_refused(root: Wire, verb: str, token: str) -> None:
    """Unknown tokens and tokens of another kind are the same refusal."""
    answer = root.post(f"sys/wrapping/{verb}", {"token": token})
    assert (answer.status, answer.errors) == (400, INVALID)


def test_hvac_wraps_and_unwraps(client: hvac.Client, server: Any) -> None:
    """The client's wrap_ttl argument and its wrapping methods."""
    info = client.auth.token.create(policies=["default"], wrap_ttl="60s")["wrap_info"]
    assert client.sys.unwrap(info["token"])["auth"]["accessor"] == info["wrapped_accessor"]
    with pytest.raises(hvac.exceptions.InvalidRequest):
        client.sys.unwrap(info["token"])
    stored = client.sys.wrap(payload={"k": "v"}, ttl=60)
    assert hvac.Client(url=server.url, token=stored["wrap_info"]["token"]).sys.unwrap()["data"] == {"k": "v"}


def test_command_wraps_and_unwraps(cli: Command, kv2: str) -> None:
    """-wrap-ttl on any command, `bao unwrap` with a token of one's own or without."""
    cli.run("kv", "put", f"{kv2}/a", "k=v").ok()
    token = cli.run("read", "-wrap-ttl=60s", "-field=wrapping_token", f"{kv2}/data/a").ok().out
    assert cli.json("unwrap", token)["data"]["data"] == {"k": "v"}
    again = cli.run("unwrap", token)
    assert again.code == 2
    assert INVALID[0] in again.err
    shown = cli.json("token", "create", "-policy=default", "-wrap-ttl=60s")
    assert shown["wrap_info"]["ttl"] == 60
    assert cli.with_token(None).json("unwrap", shown["wrap_info"]["token"])["auth"]["policies"] == ["default"]
    cli.with_token(cli.run("write", "-wrap-ttl=60s", "-field=wrapping_token", "sys/wrapping/wrap", "a=b").ok().out).run("unwrap").ok()
