"""OpenPGP, to hand a secret to one person. A key arrives as Vault takes it: base64 of the binary key, or armored text."""

from base64 import b64decode
from dataclasses import dataclass
from typing import Any

from pysequoia import Cert, encrypt

from vault.errors import InvalidRequest

_ARMOR = "-----BEGIN PGP "
_KEYBASE = "keybase:"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody's public key, known to be good for encryption."""

    fingerprint: str
    _cert: Any

    def encrypt(self, plain: bytes) -> bytes:
        """Return a binary OpenPGP message that only the key's owner can read."""
        message: bytes = encrypt(plain, recipients=[self._cert], armor=False)
        return message


def parse_key(text: str) -> Recipient:
    """Return whose key it is; raises InvalidRequest for one that cannot be used."""
    if text.startswith(_KEYBASE):
        raise InvalidRequest("error decoding given PGP key: keybase names are looked up by the command line client, not by the server")
    try:
        raw = text.encode() if text.startswith(_ARMOR) else b64decode(text, validate=True)
    except ValueError:
        raise InvalidRequest("error decoding given PGP key: illegal base64 data") from None
    try:
        cert = Cert.from_bytes(raw)
        recipient = Recipient(cert.fingerprint, cert)
        recipient.encrypt(b"")  # an expired or revoked key, or one that only signs, must not be found out at the end
    except Exception:  # noqa: BLE001 - the library's errors have no common class
        raise InvalidRequest("error parsing given PGP key: not a key that can be encrypted to") from None
    return recipient
