"""Public keys of others, and what each of them may verify: an algorithm that does not fit the key is never tried with it."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

RSA_BITS_MIN = 2048  # NIST SP 800-131A: a shorter key verifies nothing any more
RSA_BITS_MAX = 8192  # a longer one only costs time
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {"secp256r1": frozenset({"ES256"}), "secp384r1": frozenset({"ES384"}), "secp521r1": frozenset({"ES512"})}
ALGORITHMS = frozenset({*_RSA, *(name for names in _CURVES.values() for name in names), "EdDSA"})
_KEY = "-----BEGIN PUBLIC KEY-----"
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"


def list_algorithms(key: Any) -> frozenset[str]:
    """Return the signature algorithms (by their JOSE names) that a public key can verify; none for keys that we do not take."""
    if isinstance(key, RSAPublicKey):
        return _RSA if RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX else frozenset()
    if isinstance(key, EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name, frozenset())
    return frozenset({"EdDSA"}) if isinstance(key, Ed25519PublicKey) else frozenset()


def _parse(text: str) -> Any:
    if text.startswith(_KEY):
        return load_pem_public_key(text.encode())
    return load_pem_x509_certificate(text.encode()).public_key() if text.startswith(_CERTIFICATE) else None


def load_public_key(pem: str) -> Any:
    """Return the key of a PEM block, or of a certificate in one; raises ValueError, also for two blocks and weak keys."""
    text = pem.strip()
    try:
        key = _parse(text) if text.count("-----BEGIN") == 1 else None
    except Exception as error:  # UnsupportedAlgorithm, and whatever a parser thinks of
        raise ValueError("data does not contain any valid public keys") from error
    if key is None:
        raise ValueError("data does not contain any valid public keys")
    if not list_algorithms(key):
        raise ValueError("the key is too weak, or of a kind that is not supported")
    return key
