"""OpenPGP keys: what is taken, what is refused, and that only the owner can read."""

from base64 import b64encode

import pytest
from pysequoia import CipherSuite, Profile, Tsk, decrypt

from vault.crypto.pgp import load_key, parse_key
from vault.errors import InvalidRequest


@pytest.mark.parametrize("suite", [CipherSuite.Cv25519, CipherSuite.RSA2k, CipherSuite.P256])
def test_binary_and_armored_keys_are_taken(suite: CipherSuite) -> None:
    """Both give the same recipient, and its owner reads the message."""
    owner = Tsk.generate("holder", cipher_suite=suite, profile=Profile.RFC4880)
    cert = owner.extract_certificate()
    for text in (b64encode(bytes(cert)).decode(), str(cert)):
        recipient = parse_key(text)
        assert recipient.fingerprint == cert.fingerprint
        message = recipient.encrypt(b"canary")
        assert b"canary" not in message
        assert decrypt(message, decryptor=owner.decryptor()).bytes == b"canary"


@pytest.mark.parametrize("text", ["", "!!", "aGVsbG8=", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxxxx\n", "AA" * 5000, "é"])
def test_what_is_no_key_is_refused(text: str) -> None:
    """In words that repeat nothing of it."""
    with pytest.raises(InvalidRequest, match="given PGP key") as refusal:
        parse_key(text)
    assert not text or text not in str(refusal.value)


def test_keybase_names_are_refused() -> None:
    """The server looks nobody up."""
    with pytest.raises(InvalidRequest, match="keybase"):
        parse_key("keybase:somebody")


def test_expired_and_revoked_keys_are_refused() -> None:
    """The library would encrypt to both; a key that was good when an attempt began is still used at its end."""
    expired = Tsk.generate("holder", validity_seconds=1).extract_certificate()  # the library dates keys back
    with pytest.raises(InvalidRequest, match="expired"):
        parse_key(str(expired))
    assert load_key(str(expired)).encrypt(b"canary")
    owner = Tsk.generate("holder")
    cert = owner.extract_certificate()
    revoked = bytes(cert) + bytes(cert.revoke(owner.certifier()))
    with pytest.raises(InvalidRequest, match="revoked"):
        parse_key(b64encode(revoked).decode())


def test_secret_parts_of_a_key_are_not_needed() -> None:
    """Who sends them by mistake gets the same."""
    owner = Tsk.generate("holder")
    assert parse_key(str(owner)).fingerprint == owner.extract_certificate().fingerprint


# DSA of 1024 bits, made by GnuPG: the library's policy refuses its very binding signature, with an error of its own.
WEAK = (
    "mQGiBGsJ/zgRBACXG5rTwidvtXYtkEfWHnviHC0NcO+wuUqqO7xqG9Q9sVWlyxv4+BBFKDQ+jQ53tFrSdMRygJVyWcUp4lEh8dfiySD4Hr0KNOSofjPLk0bS"
    "FCqIXOJ/7+WmSv796oNPrSrswbKgb+DL1pYnu8c4EenXRS10Oqg+LC4POFLr0lNZpwCgsMd2NsahHK91Lv//POHKaRKYmsMEAIzbPIIxVcKrNV3q/7esl7Pv"
    "K5i1exI/FxiqUcYrOHFA3ks4jCI/rhUaYIQZ1F+KmvwyyDxOtTVbFpQXH3+bz4rYblaE++03rD1Wugf0lY4+VM7qolncZXXP1tmmIVhx7lg+e2DFldxkLmhp"
    "liIwxX1OQvzryS/jXXeIcg0EBfjhBACPiNxHgeJ43XxhmylnleqI5aYq88I3RJo277ahXAgynqJVQ2YnezOH4LH+gT7FFadu456/f4O1W2N2PIDyo+JKU+xL"
    "SAegTdyCMMZchatl6o9K/UNxKY6Qof+3W8n9zFYQqKdrB6XK4TD8bwoXA95n6qY3U7ZumHLTL3mxmVEWy7QDZUB4iHgEExECADgWIQSne5cG0TLLo3lZ52Cn"
    "7ww6CV+VqAUCawn/OAIbAwULCQgHAgYVCgkICwIEFgIDAQIeAQIXgAAKCRCn7ww6CV+VqHxxAJ9hiouYgSa8r5C+/i/YcR0TcjC3rwCfcTYrgSYYmf6r9T75"
    "mzG6MFdpIFM="
)


def test_weak_key_is_refused_like_any_other() -> None:
    """Whatever the library says of it."""
    with pytest.raises(InvalidRequest, match="not a key that can be encrypted to"):
        parse_key(WEAK)
