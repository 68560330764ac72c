"""A new root token for a quorum of shareholders. It leaves encrypted: by a one-time pad that whoever began was shown, or to their key.

The token is as long as its pad, whoever made the pad. As with a rekey, what has been given so far is one encrypted row for all
workers of all hosts.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from vault import limits
from vault.crypto import random
from vault.crypto.pgp import load_key, parse_key
from vault.errors import InvalidRequest
from vault.modules.auth.tokens import ID_CHARACTERS, SERVICE_PREFIX, Issued, make_service_id
from vault.seal import Seal
from vault.secret import Secret
from vault.shares import GENERATION, check_share, has_share, make_nonce
from vault.storage.transaction import Transaction

OTP_CHARACTERS = len(SERVICE_PREFIX) + ID_CHARACTERS

Issue = Callable[[Transaction, str], Issued]  # takes the id of the token


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Generation:
    """A root token on its way."""

    nonce: str
    otp: str = ""
    pgp_key: str = ""
    fingerprint: str = ""
    given: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where it stands after a share."""

    generation: Generation
    progress: int
    encoded_token: str = ""  # empty: more shares are needed


class RootGeneration:
    """The steps."""

    def __init__(self, seal: Seal, issue: Issue) -> None:
        self._seal = seal
        self._issue = issue

    def find(self, transaction: Transaction) -> Generation | None:
        """Return the generation on its way."""
        entry = transaction.get(GENERATION)
        return None if entry is None else msgspec.json.decode(entry.value, type=Generation)

    def _save(self, transaction: Transaction, generation: Generation) -> Generation:
        transaction.put(GENERATION, msgspec.json.encode(generation))
        return generation

    def start(self, transaction: Transaction, otp: Secret, pgp_key: str) -> tuple[Generation, str]:
        """Begin; return also the pad that was made, empty if the caller brought one or a key."""
        fingerprint, made = "", ""
        if otp:
            if not limits.OTP_BYTES_MIN <= len(otp.reveal().encode()) <= limits.OTP_BYTES_MAX:
                raise InvalidRequest("OTP string has incorrect length")
        elif pgp_key:
            fingerprint = _find_fingerprint(pgp_key)
        else:
            made = random.random_base62(OTP_CHARACTERS)
        if self.find(transaction) is not None:
            raise InvalidRequest("root generation already in progress")
        pad = otp.reveal() or made
        generation = Generation(nonce=make_nonce(), otp=pad, pgp_key="" if pad else pgp_key, fingerprint=fingerprint)
        return self._save(transaction, generation), made

    def cancel(self, transaction: Transaction) -> None:
        """Give up, with the shares given so far; none on its way is no error."""
        if self.find(transaction) is not None:
            transaction.delete(GENERATION)

    def update(self, transaction: Transaction, share: bytes, nonce: str) -> Step:
        """Take a share; with enough of them, make the token. Raises WrongShares for a wrong set."""
        check_share(share, "invalid key: ")
        generation = self.find(transaction)
        if generation is None:
            raise InvalidRequest("no root generation in progress")
        if nonce != generation.nonce:
            raise InvalidRequest(f'incorrect nonce supplied; nonce for this root generation operation is "{generation.nonce}"')
        if has_share(generation.given, share):
            raise InvalidRequest("given key has already been provided during this generation operation")
        given = (*generation.given, share)
        if self._seal.prove(transaction, given, "root generation") is None:
            return Step(generation=self._save(transaction, replace(generation, given=given)), progress=len(given))
        transaction.delete(GENERATION)
        length = len(generation.otp.encode()) or OTP_CHARACTERS
        token = self._issue(transaction, make_service_id(length)).id
        return Step(generation=generation, progress=len(given), encoded_token=_encode(token, generation))

    def forget_given(self, transaction: Transaction, nonce: str) -> None:
        """Forget the shares given so far, after a wrong set of them."""
        generation = self.find(transaction)
        if generation is not None and generation.nonce == nonce and generation.given:
            self._save(transaction, replace(generation, given=()))


def _find_fingerprint(pgp_key: str) -> str:
    try:
        return parse_key(pgp_key).fingerprint
    except InvalidRequest as refusal:
        raise InvalidRequest(f"error parsing PGP key: {refusal}") from None


def _encode(token: Secret, generation: Generation) -> str:
    plain = token.reveal().encode()
    if generation.pgp_key:
        return b64encode(load_key(generation.pgp_key).encrypt(plain)).decode()
    return b64encode(_xor(plain, generation.otp.encode())).decode().rstrip("=")


def decode_token(encoded: str, otp: Secret) -> str:
    """Return the token that a generation has encoded with a pad; raises InvalidRequest."""
    pad = otp.reveal().encode("utf-8", "surrogatepass")
    try:
        # Unpadded: a pad of the client's own is no base64 here.
        sealed = b64decode(encoded.replace("=", "?") + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("error decoding base64'd token: illegal base64 data") from None
    if len(sealed) != len(pad):
        raise InvalidRequest(f"error xoring token: length of byte slices is not equivalent: {len(sealed)} != {len(pad)}")
    return _xor(sealed, pad).decode("utf-8", "replace")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(one ^ two for one, two in zip(left, right, strict=True))
