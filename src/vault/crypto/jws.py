"""Key pairs that sign JSON web tokens, and the check of such a signature.

A stored RSA key is loaded without the tests that its numbers are prime: they take a thousand times as long as loading, and a row
of the barrier that somebody had altered would not have been opened in the first place.
"""

import hashlib
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from jwt.algorithms import get_default_algorithms

from vault.crypto.random import random_bytes

_RSA_BITS = 2048
_RSA_EXPONENT = 65537

_MAKERS: Mapping[str, Callable[[], Any]] = {
    **{f"RS{bits}": partial(rsa.generate_private_key, _RSA_EXPONENT, _RSA_BITS) for bits in (256, 384, 512)},
    "ES256": partial(ec.generate_private_key, ec.SECP256R1()),
    "ES384": partial(ec.generate_private_key, ec.SECP384R1()),
    "ES512": partial(ec.generate_private_key, ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}
ALGORITHMS = tuple(_MAKERS)
_HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}

_jws = jwt.PyJWS(algorithms=list(ALGORITHMS))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A key that signs, as it is stored."""

    id: str
    algorithm: str
    private: bytes = field(repr=False)  # PKCS 8
    public: Mapping[str, str]  # as a JSON web key


def make_pair(algorithm: str) -> KeyPair:
    """Return a new key of one of ALGORITHMS."""
    private = _MAKERS[algorithm]()
    key_id = str(uuid.UUID(bytes=random_bytes(16), version=4))
    numbers = get_default_algorithms()[algorithm].to_jwk(private.public_key(), as_dict=True)
    shown = {name: value for name, value in numbers.items() if name != "key_ops"}
    return KeyPair(
        id=key_id,
        algorithm=algorithm,
        private=private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        public={"use": "sig", "kid": key_id, "alg": algorithm, **shown},
    )


class Signer:
    """A pair, loaded."""

    __slots__ = ("_key", "_pair")

    def __init__(self, pair: KeyPair) -> None:
        self._pair = pair
        self._key: Any = load_der_private_key(pair.private, None, unsafe_skip_rsa_key_validation=True)

    def sign(self, payload: bytes) -> str:
        """Return a JSON web token with these claims."""
        return _jws.encode(payload, self._key, self._pair.algorithm, {"kid": self._pair.id})

    def hash_claim(self, value: str) -> str:
        """Return what `at_hash` and `c_hash` say of a value: half of its hash, that of the signature."""
        digest = _HASHES.get(self._pair.algorithm[-3:], hashlib.sha512)(value.encode("ascii")).digest()
        return urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def find_payload(token: str, public_keys: Iterable[Mapping[str, str]]) -> bytes | None:
    """Return what a token says if the key that it names is among these and has signed it; raises ValueError for what is no token."""
    try:
        key_id = _jws.get_unverified_header(token).get("kid")
    except (jwt.InvalidTokenError, ValueError) as error:
        raise ValueError("not a signed token in compact form") from error
    key = next((key for key in public_keys if key["kid"] == key_id), None)
    if key is None:
        return None
    try:
        payload: bytes = _jws.decode_complete(token, jwt.PyJWK(dict(key)), algorithms=[key["alg"]])["payload"]
    except jwt.InvalidTokenError:
        return None
    return payload
