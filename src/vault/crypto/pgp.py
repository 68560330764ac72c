"""OpenPGP, to hand a secret to one person. A key arrives as Vault takes it: base64 of the binary key, or armored text."""

from base64 import b64decode
from dataclasses import dataclass

from pysequoia import Cert, encrypt

from vault.clock import SystemClock
from vault.errors import InvalidRequest

_ARMOR = "-----BEGIN PGP "
_KEYBASE = "keybase:"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody's public key, known to be good for encryption."""

    fingerprint: str
    _cert: Cert

    def encrypt(self, plain: bytes) -> bytes:
        """Return a binary OpenPGP message that only the key's owner can read."""
        return encrypt(plain, recipients=[self._cert], armor=False)


def parse_key(text: str) -> Recipient:
    """Return whose key it is; raises InvalidRequest for one that cannot be used, or should not be any more.

    The library encrypts to expired and to revoked keys, too.
    """
    cert = _parse_cert(text)
    recipient = Recipient(cert.fingerprint, cert)
    try:
        is_revoked, expiration = cert.is_revoked, cert.expiration  # of a weak key it tells neither
        recipient.encrypt(b"")  # a key that only signs must not be found out at the end
    except Exception:  # noqa: BLE001 - the library's errors have no common class
        raise _no_key() from None
    if is_revoked:
        raise InvalidRequest("error parsing given PGP key: the key is revoked")
    if expiration is not None and expiration.timestamp() <= SystemClock.now():
        raise InvalidRequest("error parsing given PGP key: the key has expired")
    return recipient


def load_key(text: str) -> Recipient:
    """Return whose key it is; for one that `parse_key` has taken before."""
    cert = _parse_cert(text)
    return Recipient(cert.fingerprint, cert)


def _no_key() -> InvalidRequest:
    return InvalidRequest("error parsing given PGP key: not a key that can be encrypted to")


def _parse_cert(text: str) -> Cert:
    if text.startswith(_KEYBASE):
        raise InvalidRequest("error decoding given PGP key: keybase names are looked up by the command line client, not by the server")
    try:
        raw = text.encode() if text.startswith(_ARMOR) else b64decode(text, validate=True)
    except ValueError:
        raise InvalidRequest("error decoding given PGP key: illegal base64 data") from None
    try:
        return Cert.from_bytes(raw)
    except Exception:  # noqa: BLE001 - as above
        raise _no_key() from None
