"""Password hashes: what is the same password, what may be imported, and how much a check costs."""

import bcrypt
import pytest

from vault.crypto import passwords
from vault.errors import InvalidRequest

CHEAP = 4  # below what may be imported: only for tests


def imported(password: bytes, cost: int = CHEAP) -> str:
    """Return a hash that was made elsewhere."""
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "$2b$10$abcdefghijklmnopqrstuu",
        "$2x$10$abcdefghijklmnopqrstuuDmGIYHhY4xRFcDoF1JGgPOA9yT5VbEW",
        "$2b$1$abcdefghijklmnopqrstuuDmGIYHhY4xRFcDoF1JGgPOA9yT5VbEWx",
        "$2b$10$abcdefghijklmnopqrstuvDmGIYHhY4xRFcDoF1JGgPOA9yT5VbEW",  # spare bits of the salt
        "$2b$10$abcdefghijklmnopqrstuuDmGIYHhY4xRFcDoF1JGgPOA9yT5VbEX",  # and of the digest
        "$2b$10$abcdefghijklmnopqrstuuDmGIYHhY4xRFcDoF1JGgPOA9yT5VbEW\n",
        "$2b$1\u0660$abcdefghijklmnopqrstuuDmGIYHhY4xRFcDoF1JGgPOA9yT5VbEW",
        "$argon2id$v=19$m=19456,t=2,p=1$AAAA$BBBB",
    ],
)
def test_what_is_no_bcrypt_hash_is_refused(text: str) -> None:
    """Another algorithm, a wrong length, a spelling that no password can match."""
    with pytest.raises(InvalidRequest, match="not a valid bcrypt hash"):
        passwords.parse_imported_hash(text)


@pytest.mark.parametrize(("cost", "word"), [("04", "below"), ("09", "below"), ("13", "exceeds"), ("31", "exceeds"), ("99", "exceeds")])
def test_a_cost_out_of_bounds_is_refused(cost: str, word: str) -> None:
    """A hash that is found out quickly protects nobody, and one of cost 31 would stop a worker."""
    with pytest.raises(InvalidRequest, match=word):
        passwords.parse_imported_hash(f"$2b${cost}$abcdefghijklmnopqrstuuDmGIYHhY4xRFcDoF1JGgPOA9yT5VbEW")


@pytest.mark.parametrize("version", ["2a", "2b", "2y"])
def test_hashes_of_all_versions_are_imported(version: str) -> None:
    """The three names of the same function."""
    stored = passwords.parse_imported_hash(imported(b"right", 10).replace("2b", version))
    assert passwords.check_password(b"right", stored, 10)
    assert not passwords.check_password(b"wrong", stored, 10)


@pytest.mark.parametrize(
    ("known", "other"),
    [(b"x" * 72, b"x" * 73), (b"x" * 72 + b"a", b"x" * 72 + b"b"), (b"a\0b", b"a\0c"), (b"a", b"a\0a"), (b"a", b"a\0"), (b"", b"\0")],
)
def test_passwords_that_bcrypt_takes_for_the_same_are_not(known: bytes, other: bytes) -> None:
    """What comes after byte 72 or after a NUL counts: in our own hashes, and in imported ones by being wrong."""
    own = passwords.hash_password(known)
    assert passwords.check_password(known, own, passwords.COST)
    assert not passwords.check_password(other, own, passwords.COST)
    if len(known) <= 72 and b"\0" not in known:
        assert passwords.check_password(known, imported(known), CHEAP)
        assert not passwords.check_password(other, imported(known), CHEAP)


def test_an_imported_hash_of_a_cut_password_matches_no_longer_one() -> None:
    """A hash made by a library that cuts is of the first 72 bytes alone."""
    assert not passwords.check_password(b"x" * 80, imported(b"x" * 72), CHEAP)


def test_a_decoy_is_of_no_password_and_looks_like_a_hash() -> None:
    """It has the cost that was asked for, and the form of our own hashes."""
    decoy = passwords.make_decoy(CHEAP)
    assert len(decoy) == len(passwords.hash_password(b""))
    assert passwords.find_cost(decoy) == CHEAP
    assert not passwords.check_password(b"", decoy, CHEAP)


@pytest.mark.parametrize(("cost", "asked", "rounds"), [(4, 4, 1), (4, 6, 4), (6, 6, 1), (6, 4, 1)])
def test_a_check_does_the_work_that_was_asked_for(cost: int, asked: int, rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cheap hash is worked at as long as a dear one, right or wrong."""
    calls = []
    original = bcrypt.hashpw

    def count(password: bytes, salt: bytes) -> bytes:
        calls.append(salt)
        return original(password, salt)

    stored = imported(b"right", cost)
    monkeypatch.setattr(bcrypt, "hashpw", count)
    for given, expected in ((b"right", True), (b"wrong", False), (b"x" * 99, False)):
        calls.clear()
        assert passwords.check_password(given, stored, asked) is expected
        assert len(calls) == rounds


def test_a_password_has_a_longest_length() -> None:
    """Nobody makes the server digest megabytes."""
    assert passwords.encode_password("é") == b"\xc3\xa9"
    with pytest.raises(InvalidRequest, match="longer than 4096"):
        passwords.encode_password("x" * 4097)
