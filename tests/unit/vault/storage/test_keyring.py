"""The keyring."""

import pytest

from vault.storage.keyring import KEY_BYTES, Keyring


def test_keyring_does_not_show_its_keys() -> None:
    """Printing a keyring tells no key."""
    keyring = Keyring.create()
    assert repr(keyring.keys[1])[2:-1] not in repr(keyring)


def test_rotation_adds_a_fresh_key_and_changes_nothing_else() -> None:
    """The new value has one more key, in use; the old value is as it was."""
    first = Keyring.create()
    second = first.rotate()
    assert (first.active, second.active) == (1, 2)
    assert (set(first.keys), set(second.keys)) == ({1}, {1, 2})
    assert second.keys[1] == first.keys[1] != second.keys[2]
    assert len(second.keys[2]) == KEY_BYTES


def test_keyring_survives_its_encoding() -> None:
    """What is stored comes back whole."""
    keyring = Keyring.create().rotate()
    assert Keyring.decode(keyring.encode()) == keyring


@pytest.mark.parametrize("value", [b"", b"{}", b"null", b'{"keys": {"1": "AAAA"}}', b'{"keys": [], "active": 1}'])
def test_what_is_no_keyring_is_refused(value: bytes) -> None:
    """Nothing is guessed about a keyring that is not whole."""
    with pytest.raises(ValueError):
        Keyring.decode(value)
