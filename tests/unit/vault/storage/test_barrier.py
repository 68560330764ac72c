"""The barrier: nothing but what it sealed, at the place where it sealed it."""

import pytest

from vault.errors import IntegrityError, Sealed
from vault.storage.barrier import Barrier
from vault.storage.keyring import Keyring

PATH = "logical/mount/data/name"


@pytest.fixture
def barrier() -> Barrier:
    """Return an open barrier."""
    barrier = Barrier()
    barrier.open(Keyring.create())
    return barrier


def test_closed_barrier_refuses_both_ways(barrier: Barrier) -> None:
    """Without keys nothing is sealed or opened."""
    sealed = barrier.encrypt(PATH, b"secret")
    barrier.close()
    assert not barrier.is_open
    with pytest.raises(Sealed):
        barrier.decrypt(PATH, sealed)
    with pytest.raises(Sealed):
        barrier.encrypt(PATH, b"secret")


def test_every_bit_counts(barrier: Barrier) -> None:
    """Any single bit flipped, in version, term, nonce, text or tag, is an error."""
    sealed = barrier.encrypt(PATH, b"a secret of some length")
    for bit in range(len(sealed) * 8):
        damaged = bytearray(sealed)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(IntegrityError):
            barrier.decrypt(PATH, bytes(damaged))


@pytest.mark.parametrize("other", ["", PATH + "/", PATH[:-1], PATH.upper(), "logical/other/data/name"])
def test_other_place_is_refused(barrier: Barrier, other: str) -> None:
    """A row pasted to another path does not open."""
    with pytest.raises(IntegrityError):
        barrier.decrypt(other, barrier.encrypt(PATH, b"secret"))


@pytest.mark.parametrize(
    "stored", [b"", b"\1", b"\1\0\0\0\1", b"plain text", b"\0" * 60, b"\2" + bytes(59), b"\1\xff\xff\xff\xff" + bytes(40)]
)
def test_what_it_never_sealed_is_refused(barrier: Barrier, stored: bytes) -> None:
    """Unknown versions and terms, and what is too short, are errors: there is no older or plainer format."""
    with pytest.raises(IntegrityError):
        barrier.decrypt(PATH, stored)


def test_key_of_another_term_is_refused(barrier: Barrier) -> None:
    """The term is bound to the text: with the header changed, the text does not open even where both keys are known."""
    keyring = Keyring.create().rotate()
    barrier.open(keyring)
    sealed = barrier.encrypt(PATH, b"secret")
    same_key = Keyring(keys={1: keyring.keys[2], 2: keyring.keys[2]}, active=2)
    barrier.open(same_key)
    assert barrier.decrypt(PATH, sealed) == b"secret"
    with pytest.raises(IntegrityError):
        barrier.decrypt(PATH, sealed[:1] + (1).to_bytes(4, "big") + sealed[5:])


def test_rotation_keeps_old_rows_readable(barrier: Barrier) -> None:
    """New rows are sealed under the new key, old rows still open."""
    keyring = Keyring.create()
    barrier.open(keyring)
    old = barrier.encrypt(PATH, b"old")
    barrier.open(keyring.rotate())
    new = barrier.encrypt(PATH, b"new")
    assert [barrier.decrypt(PATH, stored) for stored in (old, new)] == [b"old", b"new"]
    barrier.open(keyring)
    with pytest.raises(IntegrityError):
        barrier.decrypt(PATH, new)


def test_sealed_text_shows_nothing_of_the_plain(barrier: Barrier) -> None:
    """The same value is stored differently each time, and never as it is."""
    stored = {barrier.encrypt(PATH, b"canary-canary") for _ in range(100)}
    assert len(stored) == 100
    assert not any(b"canary" in value for value in stored)


def test_held_keys_are_dropped_at_the_end(barrier: Barrier) -> None:
    """Keys held for a while are gone afterwards, also when the work fails."""

    def work() -> None:
        with barrier.opened(Keyring.create()):
            assert barrier.is_open
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert not barrier.is_open
