"""Keys and certificates as TLS hands them over: in files, and from clients."""

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import Certificate


def load_private_key(pem: bytes) -> PrivateKeyTypes:
    """Return the private key that a PEM file holds; raises ValueError for anything else, and for one with a passphrase."""
    try:
        return load_pem_private_key(pem, password=None)
    except Exception as error:  # TypeError for a passphrase, UnsupportedAlgorithm, and whatever a parser thinks of
        raise ValueError("a private key in PEM without a passphrase") from error


def encode_certificate(certificate: Certificate) -> bytes:
    """Return a certificate in DER."""
    return certificate.public_bytes(Encoding.DER)
