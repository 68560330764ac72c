"""Shares and root tokens that leave encrypted: to the right keys in the right order, with a backup if wanted."""

from base64 import b64decode, b64encode
from typing import Any

import pytest
from pysequoia import Tsk, decrypt

from tests.unit.vault.holders import BARE, ROTATE, Holders
from tests.unit.vault.test_seal import Host
from vault.errors import InvalidRequest
from vault.logical.operation import Operation

OWNERS = tuple(Tsk.generate(f"holder{number}") for number in range(3))
KEYS = [b64encode(bytes(OWNERS[0].extract_certificate())).decode(), *(str(owner.extract_certificate()) for owner in OWNERS[1:])]
FINGERPRINTS = [owner.extract_certificate().fingerprint for owner in OWNERS]


def read(owner: Tsk, message: bytes) -> str:
    """Return what was encrypted to an owner."""
    plain = decrypt(message, decryptor=owner.decryptor()).bytes
    assert plain is not None
    return plain.decode()


def test_init_encrypts_shares_and_root_token() -> None:
    """Each to its own key; what comes out is what unseal takes."""
    host = Host()
    fields = {"secret_shares": 3, "secret_threshold": 2, "pgp_keys": KEYS, "root_token_pgp_key": KEYS[2]}
    answer = host.send(Operation.UPDATE, "sys/init", fields, token=None)
    assert answer is not None
    made: Any = answer.data
    assert [bytes.fromhex(share) for share in made["keys"]] == [b64decode(share) for share in made["keys_base64"]]
    shares = [read(owner, bytes.fromhex(share)) for owner, share in zip(OWNERS, made["keys"], strict=True)]
    for share in shares[1:]:
        host.give(share)
    token = read(OWNERS[2], b64decode(made["root_token"]))
    assert host.read("auth/token/lookup-self", token=token)["policies"] == ["root"]


@pytest.mark.parametrize(
    "fields", [{"pgp_keys": KEYS[:2]}, {"pgp_keys": ["x", "y", "z"]}, {"pgp_keys": [*KEYS[:2], "keybase:a"]}, {"root_token_pgp_key": "zz"}]
)
def test_init_refuses_keys_before_anything_is_made(fields: dict[str, Any]) -> None:
    """The server can still be initialised afterwards."""
    host = Host()
    with pytest.raises(InvalidRequest, match="PGP key"):
        host.send(Operation.UPDATE, "sys/init", {"secret_shares": 3, "secret_threshold": 2, **fields}, token=None)
    assert host.rows.rows == {}


@pytest.mark.parametrize("name", [BARE, ROTATE])
def test_rekey_encrypts_shares_and_keeps_a_backup(name: str) -> None:
    """Two shares may go to one key; the backup lists both under its fingerprint, and can be removed."""
    host = Holders()
    keys = [KEYS[0], KEYS[0], KEYS[1]]
    nonce = host.start(3, 2, name, pgp_keys=keys, backup=True)
    status = host.ask(Operation.READ, f"{name}/init")
    assert (status["pgp_fingerprints"], status["backup"]) == ([FINGERPRINTS[0], FINGERPRINTS[0], FINGERPRINTS[1]], True)
    new = host.finish(nonce, name=name)
    shares = [read(OWNERS[owner], bytes.fromhex(share)) for owner, share in zip((0, 0, 1), new, strict=True)]
    backup = host.ask(Operation.READ, f"{name}/backup")
    assert backup["nonce"] == nonce
    assert backup["keys"] == {FINGERPRINTS[0]: new[:2], FINGERPRINTS[1]: new[2:]}
    assert {who: [b64decode(share).hex() for share in kept] for who, kept in backup["keys_base64"].items()} == backup["keys"]
    assert host.ask(Operation.DELETE, f"{name}/backup") is None
    with pytest.raises(InvalidRequest, match="no backed-up keys found"):
        host.ask(Operation.READ, f"{name}/backup")
    assert host.opens(shares[1:], 2)


def test_cancelled_rekey_takes_its_backup_along() -> None:
    """What never came into force is not kept, and what came is."""
    host = Holders()
    host.finish(host.start(3, 2, pgp_keys=KEYS, backup=True, require_verification=True))
    assert host.ask(Operation.READ, f"{BARE}/backup")
    host.ask(Operation.DELETE, f"{BARE}/init")
    with pytest.raises(InvalidRequest):
        host.ask(Operation.READ, f"{BARE}/backup")
    host.finish(host.start(3, 2, pgp_keys=KEYS, backup=True))
    shares = host.ask(Operation.READ, f"{BARE}/backup")
    host.start(1, 1)
    host.ask(Operation.DELETE, f"{BARE}/init")
    assert host.ask(Operation.READ, f"{BARE}/backup") == shares


@pytest.mark.parametrize("name", [BARE, ROTATE])
def test_rekey_refuses_keys_at_its_start(name: str) -> None:
    """Their number, and each of them."""
    host = Holders()
    for keys in (KEYS[:2], ["x", "y", "z"], [*KEYS[:2], "keybase:a"]):
        with pytest.raises(InvalidRequest, match="PGP key"):
            host.start(3, 2, name, pgp_keys=keys)
    assert not host.ask(Operation.READ, f"{name}/init")["started"]
