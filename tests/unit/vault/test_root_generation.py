"""A root token from a quorum: who may begin, what counts, and how it leaves."""

from base64 import b64decode
from typing import Any

import pytest
from pysequoia import Tsk, decrypt

from tests.unit.vault.fault import RefusingBroker
from tests.unit.vault.holders import Holders
from tests.unit.vault.modules.system.world import World
from vault import limits
from vault.errors import AuditFailed, InvalidRequest, PermissionDenied, Sealed
from vault.logical.operation import Operation
from vault.root_generation import OTP_CHARACTERS
from vault.shares import GENERATION

BARE, TWIN = "sys/generate-root", "sys/generate-root-token"
DOORS = frozenset({"generate-root"})
REQUESTS: list[tuple[Operation, str, dict[str, Any]]] = [
    (Operation.READ, "attempt", {}),
    (Operation.UPDATE, "attempt", {}),
    (Operation.DELETE, "attempt", {}),
    (Operation.UPDATE, "update", {"key": "ab" * 33, "nonce": "x"}),
]


@pytest.fixture
def host() -> Holders:
    """Return an open host."""
    return Holders()


def start(host: Holders, name: str = BARE, **fields: Any) -> Any:
    """Begin; return the data."""
    return host.ask(Operation.UPDATE, f"{name}/attempt", **fields)


def give(host: Holders, nonce: str, key: str, name: str = BARE, worker: Any = None) -> Any:
    """Give a share."""
    return host.ask(Operation.UPDATE, f"{name}/update", worker, key=key, nonce=nonce)


def decode(host: Holders, encoded: str, otp: str) -> str:
    """Decode as anybody may."""
    answer = host.send(Operation.UPDATE, "sys/decode-token", {"encoded_token": encoded, "otp": otp}, token=None)
    assert answer is not None
    assert answer.data is not None
    return str(answer.data["token"])


@pytest.mark.parametrize("name", [BARE, TWIN])
@pytest.mark.parametrize(("operation", "path", "fields"), REQUESTS)
def test_strangers_do_nothing_on_a_closed_door(host: Holders, name: str, operation: Operation, path: str, fields: dict[str, Any]) -> None:
    """Nothing is told and nothing cancelled, whatever other doors are open."""
    give(host, start(host)["nonce"], host.keys[0])
    before = host.rows.rows[GENERATION]
    for token in (None, "unknown", host.issue("default")):
        with pytest.raises(PermissionDenied):
            host.send(operation, f"{name}/{path}", fields, token=token, open_doors=frozenset({"rekey"}))
    assert host.rows.rows[GENERATION] == before


def test_an_open_door_serves_all(host: Holders) -> None:
    """The twin has no door."""
    for operation, path, fields in REQUESTS[:3]:
        host.send(operation, f"{BARE}/{path}", fields, token=None, open_doors=DOORS)
        with pytest.raises(PermissionDenied):
            host.send(operation, f"{TWIN}/{path}", fields, token=None, open_doors=DOORS)


@pytest.mark.parametrize("name", [BARE, TWIN])
def test_quorum_makes_a_root_token(host: Holders, name: str) -> None:
    """On any workers; the pad is shown once; the token works and nothing of it is left."""
    begun = start(host, name)
    assert len(begun["otp"]) == begun["otp_length"] == OTP_CHARACTERS
    assert host.ask(Operation.READ, f"{name}/attempt")["otp"] == ""
    nonce = begun["nonce"]
    for number, key in enumerate(host.keys[:2], 1):
        step = give(host, nonce, key, name, host.worker())
        assert (step["progress"], step["complete"], step["encoded_token"]) == (number, False, "")
    done = give(host, nonce, host.keys[2], name)
    assert (done["progress"], done["required"], done["complete"]) == (3, 3, True)
    token = decode(host, done["encoded_token"], begun["otp"])
    assert len(token) == OTP_CHARACTERS
    assert token != host.root
    assert host.read("auth/token/lookup-self", token=token)["policies"] == ["root"]
    assert not host.ask(Operation.READ, f"{name}/attempt")["started"]
    assert GENERATION not in host.rows.rows


def test_wrong_shares_nonces_and_pads_are_refused(host: Holders) -> None:
    """A wrong set is forgotten; no share is judged alone."""
    for pad in ("short", "a" * 26, "a" * 24, "é" * OTP_CHARACTERS):
        with pytest.raises(InvalidRequest, match="incorrect length"):
            start(host, otp=pad)
    for key in ("!!", "aGVsbG8=", "keybase:x"):
        with pytest.raises(InvalidRequest, match="PGP key"):
            start(host, pgp_key=key)
    with pytest.raises(InvalidRequest, match="no root generation"):
        give(host, "x", host.keys[0])
    nonce = start(host, otp="é" * (OTP_CHARACTERS // 2))["nonce"]
    with pytest.raises(InvalidRequest, match="already in progress"):
        start(host)
    give(host, nonce, host.keys[0])
    for wrong, key in (("other", host.keys[1]), ("", host.keys[1]), (nonce, host.keys[0]), (nonce, "zz"), (nonce, ""), (nonce, "ab" * 15)):
        with pytest.raises(InvalidRequest):
            give(host, wrong, key)
    assert give(host, nonce, "07" * 33)["progress"] == 2
    with pytest.raises(InvalidRequest, match="do not open"):
        give(host, nonce, host.keys[1])
    assert host.ask(Operation.READ, f"{BARE}/attempt")["progress"] == 0
    host.ask(Operation.DELETE, f"{BARE}/attempt")
    assert host.ask(Operation.DELETE, f"{BARE}/attempt") is None


@pytest.mark.parametrize("length", [limits.OTP_BYTES_MIN, OTP_CHARACTERS, limits.OTP_BYTES_MAX])
def test_token_is_as_long_as_the_pad(host: Holders, length: int) -> None:
    """Clients bring pads of Vault's length, which is not ours."""
    for refused in (limits.OTP_BYTES_MIN - 1, limits.OTP_BYTES_MAX + 1):
        with pytest.raises(InvalidRequest, match="incorrect length"):
            start(host, otp="a" * refused)
    pad = "BMjzW3wAsEzINXCM05Wbas3u9zSl".ljust(length, "x")
    nonce = start(host, otp=pad)["nonce"]
    done: Any = [give(host, nonce, key) for key in host.keys[:3]][-1]
    token = decode(host, done["encoded_token"], pad)
    assert (len(token), token[:4]) == (length, "hvs.")
    assert host.read("auth/token/lookup-self", token=token)["policies"] == ["root"]


def test_token_leaves_for_the_owner_of_a_key(host: Holders) -> None:
    """And for nobody else."""
    owner = Tsk.generate("operator")
    begun = start(host, pgp_key=str(owner.extract_certificate()))
    assert begun["pgp_fingerprint"] == owner.extract_certificate().fingerprint
    assert begun["otp"] == ""
    done: Any = None
    for key in host.keys[:3]:
        done = give(host, begun["nonce"], key)
    message = decrypt(b64decode(done["encoded_token"]), decryptor=owner.decryptor()).bytes
    assert message is not None
    assert host.read("auth/token/lookup-self", token=message.decode())["policies"] == ["root"]


def test_token_that_is_not_on_record_does_not_exist(host: Holders) -> None:
    """No row of it is left, and the shares given so far still count."""
    nonce = start(host)["nonce"]
    for key in host.keys[:2]:
        give(host, nonce, key)
    before, kept = dict(host.rows.rows), host.first.core.audit
    object.__setattr__(host.first.core, "audit", RefusingBroker("response"))
    with pytest.raises(AuditFailed):
        give(host, nonce, host.keys[2])
    object.__setattr__(host.first.core, "audit", kept)
    assert dict(host.rows.rows) == before
    assert give(host, nonce, host.keys[2])["complete"]


def test_sealing_forgets_the_generation(host: Holders) -> None:
    """On the sealed host nothing is told."""
    give(host, start(host)["nonce"], host.keys[0])
    host.ask(Operation.UPDATE, "sys/seal")
    with pytest.raises(Sealed):
        host.ask(Operation.READ, f"{BARE}/attempt")
    host.open(host.keys)
    assert not host.ask(Operation.READ, f"{BARE}/attempt")["started"]


def test_one_share_is_enough_where_there_is_one(world: World) -> None:
    """The only share is the key."""
    begun = world.write("sys/generate-root/attempt").data
    done = world.write("sys/generate-root/update", key=world.share.hex(), nonce=begun["nonce"]).data
    assert done["complete"]


@pytest.mark.parametrize(
    ("encoded", "otp", "text"),
    [("", "", "empty"), ("YWI", "", "empty"), ("", "ab", "empty"), ("YWI=", "ab", "base64"), ("!!", "ab", "base64"),
     ("__--", "abc", "base64"),
     ("YWI", "abc", "2 != 3"), ("YWI", "a", "2 != 1")],
)  # fmt: skip
def test_what_cannot_be_decoded_is_refused(host: Holders, encoded: str, otp: str, text: str) -> None:
    """In words that repeat nothing of it."""
    with pytest.raises(InvalidRequest, match=text):
        decode(host, encoded, otp)


def test_decoding_needs_no_token_and_any_bytes_are_text(host: Holders) -> None:
    """What is no UTF-8 is shown as such."""
    assert decode(host, "YWI", "ab") == "\0\0"
    assert decode(host, "////", "abc") == "���"
