"""Rekey and root generation as clients drive them: the same steps at the reference and at ours, answer by answer, and the real clients.

Surprise: the reference opens its older endpoints to all; ours asks for a token, which the reference ignores. So every step carries one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hvac
import pytest
from pysequoia import Tsk

from tests.compat.command import Command
from tests.compat.differential.case import c
from tests.compat.differential.normalise import status_problem, text
from tests.compat.server_process import BAO, Server, await_active, configured_server
from tests.compat.test_seal import initialise, unseal
from tests.compat.wire import Answer, Wire

HVAC_PAD = "BMjzW3wAsEzINXCM05Wbas3u9zSl"  # of its own tests: as long as a token of Vault
KEYS = [base64.b64encode(bytes(Tsk.generate(f"holder{number}").extract_certificate())).decode() for number in range(2)]


@dataclass(slots=True)
class Life:
    """One server, its present shares, and what it answered so far."""

    server: Server
    keys: list[str]
    root: Wire
    seen: list[tuple[str, Answer]] = field(default_factory=list)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a step; return the data, with or without an envelope."""
        answer = self.root.send(method, path, body)
        self.seen.append((f"{method} {path}", answer))
        found = answer.json if answer.body else {}
        return found.get("data") or found

    def give(self, path: str, nonce: str, keys: list[str]) -> Any:
        """Give shares one after the other; return the last answer."""
        return [self.ask("PUT", path, {"key": key, "nonce": nonce}) for key in keys][-1]


def begin(server: Server, shares: int = 5, threshold: int = 3) -> Life:
    """Initialise and unseal."""
    made = initialise(server.anonymous, shares, threshold)
    unseal(server.anonymous, made["keys"][:threshold])
    root = server.anonymous.with_token(made["root_token"])
    await_active(server.anonymous)
    return Life(server=server, keys=made["keys"], root=root)


@pytest.fixture(scope="module")
def running(target: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Life, Life]]:
    """Run the reference and the target side by side."""
    with ExitStack() as stack:
        folders = [(kind, tmp_path_factory.mktemp(name)) for kind, name in ((BAO, "reference"), (target, "target"))]
        reference, ours = (begin(stack.enter_context(configured_server(kind, folder))) for kind, folder in folders)
        yield reference, ours


@pytest.fixture
def pair(running: tuple[Life, Life]) -> tuple[Life, Life]:
    """Return both, again with five shares of which three are enough, and nothing answered yet."""
    for life in running:
        for path in ("sys/rekey/init", "sys/rotate/root/init", "sys/generate-root/attempt"):
            life.ask("DELETE", path)
        if len(life.keys) != 5:
            nonce = life.ask("PUT", "sys/rekey/init", {"secret_shares": 5, "secret_threshold": 3})["nonce"]
            life.keys = life.give("sys/rekey/update", nonce, life.keys[:2])["keys"]
        life.seen.clear()
    return running


@pytest.fixture
def life(pair: tuple[Life, Life]) -> Life:
    """Return the server under test."""
    return pair[1]


def wrong(key: str) -> str:
    """Return a share that does not fit, at another place."""
    spoilt = bytearray.fromhex(key)
    spoilt[0] ^= 1
    return spoilt.hex()


def rekey(life: Life, name: str) -> None:
    """Walk through two rekeys, the second one with verification, with all that can be refused on the way."""
    start, update, verify = f"{name}/init", f"{name}/update", f"{name}/verify"
    life.ask("GET", start)
    life.ask("DELETE", start)
    for method in ("GET", "DELETE"):
        life.ask(method, verify)
    for body in ({}, {"key": "zz", "nonce": "x"}, {"key": life.keys[0], "nonce": "x"}):
        life.ask("PUT", update, body)
        life.ask("PUT", verify, body)
    for shares, threshold in ((0, 0), (3, 1), (1, 2), (256, 2)):
        life.ask("PUT", start, {"secret_shares": shares, "secret_threshold": threshold})
    nonce = life.ask("PUT", start, {"secret_shares": 3, "secret_threshold": 2})["nonce"]
    life.ask("PUT", start, {"secret_shares": 3, "secret_threshold": 2})
    life.ask("GET", start)
    life.ask("GET", verify)
    life.ask("PUT", verify, {"key": life.keys[0], "nonce": nonce})
    life.ask("PUT", update, {"key": life.keys[0], "nonce": "bad"})
    for key in (life.keys[0], life.keys[0], life.keys[1], wrong(life.keys[2])):
        life.ask("PUT", update, {"key": key, "nonce": nonce})
    life.ask("GET", start)
    life.keys = life.give(update, nonce, life.keys[2:])["keys"]
    life.ask("GET", start)
    nonce = life.ask("PUT", start, {"secret_shares": 2, "secret_threshold": 2, "require_verification": True})["nonce"]
    done = life.give(update, nonce, life.keys[:2])
    life.ask("GET", start)
    life.ask("PUT", start, {"secret_shares": 3, "secret_threshold": 2})
    life.ask("PUT", update, {"key": life.keys[0], "nonce": nonce})
    life.ask("GET", verify)
    fresh, pending = done["keys"], done["verification_nonce"]
    # Under its other name the reference counts a share that comes again.
    repeated = [fresh[0]] if name == "sys/rekey" else []
    life.ask("PUT", verify, {"key": fresh[0], "nonce": nonce})
    for key in (fresh[0], *repeated, life.keys[0], fresh[1]):
        life.ask("PUT", verify, {"key": key, "nonce": pending})
    again = life.ask("DELETE", verify)["nonce"]
    life.keys = fresh
    life.give(verify, again, fresh)
    life.ask("GET", verify)
    life.ask("GET", start)


def back_up(life: Life, name: str) -> None:
    """Rekey to OpenPGP keys with a backup, with verification to come, and give it up."""
    start, update, backup = f"{name}/init", f"{name}/update", f"{name}/backup"
    life.ask("GET", backup)
    life.ask("DELETE", backup)
    life.ask("PUT", start, {"secret_shares": 3, "secret_threshold": 2, "pgp_keys": KEYS})
    body = {"secret_shares": 2, "secret_threshold": 2, "pgp_keys": KEYS, "backup": True, "require_verification": True}
    nonce = life.ask("PUT", start, body)["nonce"]
    life.give(update, nonce, life.keys[:2])
    life.ask("GET", start)
    for other in ("sys/rekey", "sys/rotate/root"):
        shown = life.root.get(f"{other}/backup").json
        assert shown["data"]["keys"] == shown["keys"]
    life.ask("DELETE", backup)
    life.ask("DELETE", start)


def generate(life: Life, name: str) -> None:
    """Make a root token, with all that can be refused on the way."""
    attempt, update = f"{name}/attempt", f"{name}/update"
    life.ask("GET", attempt)
    life.ask("DELETE", attempt)
    for body in ({}, {"key": life.keys[0], "nonce": "x"}):
        life.ask("PUT", update, body)
    for body in ({"otp": "short"}, {"pgp_key": "!!"}, {"pgp_key": KEYS[0]}):
        life.ask("PUT", attempt, body)
    life.ask("DELETE", attempt)
    begun = life.ask("PUT", attempt, {})
    life.ask("PUT", attempt, {})
    life.ask("GET", attempt)
    nonce = begun["nonce"]
    life.ask("PUT", update, {"key": life.keys[0], "nonce": "bad"})
    for key in (life.keys[0], life.keys[0], life.keys[1], wrong(life.keys[2])):
        life.ask("PUT", update, {"key": key, "nonce": nonce})
    life.ask("GET", attempt)
    done = life.give(update, nonce, life.keys[:3])
    life.ask("GET", attempt)
    token = life.ask("PUT", "sys/decode-token", {"encoded_token": done["encoded_token"], "otp": begun["otp"]})["token"]
    assert life.root.with_token(token).get("auth/token/lookup-self").data["policies"] == ["root"]


# Words with the internals of the other product's language or parsers in them.
GARBLED = re.compile(r"%!w|illegal base64|for this namespace|failed to decrypt")
NONCE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LOOSE = frozenset(
    ["keys", "keys_base64", "verification_nonce", "otp", "otp_length", "encoded_token", "encoded_root_token", "pgp_fingerprints", "token"]
)


def _hide(value: Any) -> Any:
    """Put placeholders for what is random, keeping how much of it there is."""
    if isinstance(value, dict):
        return {key: (_shape(inner) if key in LOOSE else _hide(inner)) for key, inner in value.items()}
    return value


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return len(value)
    return [type(item).__name__ for item in value] if isinstance(value, list) else bool(value)


def _data(answer: Answer) -> dict[str, Any]:
    """Return what an answer tells, without what is random in it."""
    found = answer.json if answer.body else {}
    shown: dict[str, Any] = _hide(found.get("data") or found)
    if "errors" in shown:
        return {"errors": [text(NONCE.sub("<nonce>", error)) for error in shown["errors"]]}
    return {key: inner for key, inner in shown.items() if key != "nonce" or not inner}


def compare(pair: tuple[Life, Life]) -> None:
    """Require the same statuses and bodies, and the same words where the reference's are whole."""
    reference, ours = pair
    assert [name for name, _ in reference.seen] == [name for name, _ in ours.seen]
    problems = []
    for number, ((name, theirs), (_, mine)) in enumerate(zip(reference.seen, ours.seen, strict=True)):
        if not ours.server.is_ours and theirs.status == 500:
            continue  # the reference itself fails on this input
        found = status_problem(c("GET", name), theirs, mine)
        left, right = _data(theirs), _data(mine)
        if not found and theirs.status == mine.status and left != right and not GARBLED.search(theirs.body.decode()):
            found = "body"
        if found:
            problems.append(f"{number} {name}: {found}\n  {theirs.status} {left}\n  {mine.status} {right}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", ["sys/rekey", "sys/rotate/root"])
def test_rekey_answers_as_the_reference_does(pair: tuple[Life, Life], name: str) -> None:
    """Both names, with and without verification, with OpenPGP and a backup; afterwards only the last shares open."""
    for life in pair:
        first = life.keys
        rekey(life, name)
        back_up(life, name)
        assert life.root.put("sys/seal").status == 204
        for key in first[:2]:
            life.server.anonymous.put("sys/unseal", {"key": key})
        assert life.server.anonymous.get("sys/seal-status").json["sealed"]
        life.server.anonymous.put("sys/unseal", {"reset": True})
        unseal(life.server.anonymous, life.keys[:2])
    compare(pair)


@pytest.mark.parametrize("name", ["sys/generate-root", "sys/generate-root-token"])
def test_generation_answers_as_the_reference_does(pair: tuple[Life, Life], name: str) -> None:
    """Both names, from the first question to the new token."""
    for life in pair:
        generate(life, name)
    compare(pair)


def test_command_line_lives_with_rekeyed_shares(life: Life, tmp_path: Path) -> None:
    """`bao operator rekey`, `rotate-keys`, `generate-root`: begin, follow, give, verify, cancel, decode."""
    command = Command(url=life.server.url, token=life.root.token, home=tmp_path)
    for verb in ("rekey", "rotate-keys"):
        begun = command.json("operator", verb, "-init", "-key-shares=3", "-key-threshold=2")
        assert command.json("operator", verb, "-status")["nonce"] == begun["nonce"]
        command.run("operator", verb, "-cancel").ok()
        assert not command.json("operator", verb, "-status")["started"]
        begun = command.json("operator", verb, "-init", "-key-shares=3", "-key-threshold=2", "-verify")
        need = command.json("operator", verb, "-status")["required"]
        done = [command.json("operator", verb, f"-nonce={begun['nonce']}", key) for key in life.keys[:need]][-1]
        assert command.run("operator", verb, f"-nonce={begun['nonce']}", life.keys[0]).code != 0
        given = [command.run("operator", verb, "-verify", f"-nonce={done['verification_nonce']}", key).ok() for key in done["keys"][:2]]
        assert "verification successful" in given[-1].out
        life.keys = done["keys"]
        assert command.run("operator", verb, "-target=recovery", "-init", "-key-shares=1", "-key-threshold=1").code != 0
    begun = command.json("operator", "generate-root", "-init")
    assert command.json("operator", "generate-root", "-status")["started"]
    done = [command.json("operator", "generate-root", f"-nonce={begun['nonce']}", key) for key in life.keys[:2]][-1]
    decoded = command.run("operator", "generate-root", f"-decode={done['encoded_token']}", f"-otp={begun['otp']}").ok().out.strip()
    assert command.with_token(decoded).json("token", "lookup")["data"]["policies"] == ["root"]
    pad = command.run("operator", "generate-root", "-generate-otp").ok().out.strip()
    begun = command.json("operator", "generate-root", "-init", f"-otp={pad}")
    command.run("operator", "generate-root", "-cancel").ok()
    assert not command.json("operator", "generate-root", "-status")["started"]


def test_hvac_lives_with_rekeyed_shares(life: Life) -> None:
    """Its methods for the older endpoints, one by one and many at once."""
    client = hvac.Client(url=life.server.url, token=life.root.token)
    assert not client.sys.read_rekey_progress()["started"]
    client.sys.start_rekey(secret_shares=3, secret_threshold=2)
    client.sys.cancel_rekey()
    begun = client.sys.start_rekey(secret_shares=3, secret_threshold=2)
    done = client.sys.rekey_multi(life.keys[:3], nonce=begun["nonce"])
    assert done["complete"]
    begun = client.sys.start_rekey(secret_shares=2, secret_threshold=2, require_verification=True)
    client.sys.rekey(done["keys"][0], nonce=begun["nonce"])
    fresh = client.sys.rekey(done["keys"][1], nonce=begun["nonce"])
    verified = [client.sys.rekey_verify(key, nonce=fresh["verification_nonce"]) for key in fresh["keys"]]
    assert verified[-1]["complete"]
    assert not client.sys.read_root_generation_progress()["started"]
    begun = client.sys.start_root_token_generation()
    client.sys.cancel_root_generation()
    for own in (None, HVAC_PAD):
        begun = client.sys.start_root_token_generation(otp=own)
        made = [client.sys.generate_root(key, nonce=begun["nonce"]) for key in fresh["keys"]][-1]
        answer = life.root.put("sys/decode-token", {"encoded_token": made["encoded_root_token"], "otp": own or begun["otp"]})
        assert hvac.Client(url=life.server.url, token=answer.data["token"]).is_authenticated()
    client.sys.seal()
    client.sys.submit_unseal_keys(fresh["keys"])
    await_active(life.server.anonymous)
    life.keys = fresh["keys"]
