"""Certificates and revocation lists as plain values: parsed once, compared in full, judged elsewhere.

Whatever a parser dislikes is one ValueError: a certificate comes from a stranger, and cryptography reads its parts late.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.hashes import MD5, SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vault import limits

_PEM = re.compile(rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END (?:TRUSTED )?CERTIFICATE-----")
_CLIENT_USAGES = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
# ASN.1 strings: UTF8String, NumericString, PrintableString, T61String, IA5String.
_STRINGS = {0x0C: "utf-8", 0x12: "ascii", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii"}
_NO_LIST = "not a revocation list in PEM or DER"
_BROKEN_HASHES = (MD5, SHA1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What is known of a certificate. Two are the same if every byte is."""

    der: bytes = field(repr=False)
    serial: int
    common_name: str
    organizational_units: tuple[str, ...]
    dns_names: tuple[str, ...]
    emails: tuple[str, ...]
    uris: tuple[str, ...]
    is_authority: bool
    signs: bool  # its key usage, if it says any, lets it sign certificates
    serves_clients: bool  # its extended key usage, if it says any, lets it authenticate a client
    has_strong_key: bool
    has_strong_hash: bool  # of the signature under it; says nothing where nobody verifies that signature
    not_before: datetime
    not_after: datetime
    subject_key_id: bytes
    authority_key_id: bytes
    extensions: Mapping[str, str]  # by object identifier; empty where it holds no ASN.1 string

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of all its bytes."""
        return hashlib.sha256(self.der).hexdigest()


def split_pem(pem: bytes) -> tuple[bytes, ...]:
    """Return the certificates of a PEM text in DER; raises ValueError if there is none, or one that is none."""
    found = tuple(x509.load_pem_x509_certificate(block).public_bytes(Encoding.DER) for block in _PEM.findall(pem))
    if not found:
        raise ValueError("no certificate")
    return found


def parse_certificates(pem: str) -> tuple[Certificate, ...]:
    """Return the certificates of a PEM text; raises ValueError."""
    return tuple(parse_certificate(der) for der in split_pem(pem.encode("utf-8", "surrogatepass")))


def parse_certificate(der: bytes) -> Certificate:
    """Return a certificate that is well-formed in all parts that matter; raises ValueError."""
    try:
        return _read(x509.load_der_x509_certificate(der), der)
    except ValueError:
        raise
    except Exception as error:  # duplicate extensions, unknown versions and keys, and whatever a parser thinks of
        raise ValueError("not a certificate") from error


def _read(found: x509.Certificate, der: bytes) -> Certificate:
    constraints = _find(found, x509.BasicConstraints)
    usage = _find(found, x509.KeyUsage)
    purposes = _find(found, x509.ExtendedKeyUsage)
    names = _find(found, x509.SubjectAlternativeName)
    subject_key = _find(found, x509.SubjectKeyIdentifier)
    authority_key = _find(found, x509.AuthorityKeyIdentifier)
    common_names = _list_subject(found, NameOID.COMMON_NAME)
    return Certificate(
        der=der,
        serial=found.serial_number,
        common_name=common_names[-1] if common_names else "",
        organizational_units=_list_subject(found, NameOID.ORGANIZATIONAL_UNIT_NAME),
        dns_names=_list_names(names, x509.DNSName),
        emails=_list_names(names, x509.RFC822Name),
        uris=_list_names(names, x509.UniformResourceIdentifier),
        is_authority=constraints is not None and constraints.ca,
        signs=usage is None or usage.key_cert_sign,
        serves_clients=purposes is None or not _CLIENT_USAGES.isdisjoint(purposes),
        has_strong_key=_is_strong(found.public_key()),
        has_strong_hash=not isinstance(found.signature_hash_algorithm, _BROKEN_HASHES),
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
        subject_key_id=b"" if subject_key is None else subject_key.digest,
        authority_key_id=(authority_key.key_identifier or b"") if authority_key is not None else b"",
        extensions={extension.oid.dotted_string: _read_string(extension.value.public_bytes()) for extension in found.extensions},
    )


def _find(certificate: x509.Certificate, kind: Any) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _list_subject(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> tuple[str, ...]:
    values = (attribute.value for attribute in certificate.subject.get_attributes_for_oid(oid))
    return tuple(value for value in values if isinstance(value, str))


def _list_names(names: Any, kind: Any) -> tuple[str, ...]:
    return () if names is None else tuple(names.get_values_for_type(kind))


def _is_strong(key: Any) -> bool:
    return not (isinstance(key, dsa.DSAPublicKey) or (isinstance(key, rsa.RSAPublicKey) and key.key_size < limits.RSA_BITS_MIN))


def _read_string(value: bytes) -> str:
    """Return the one ASN.1 string that an extension holds, empty where it holds anything else."""
    if len(value) < 2 or value[0] not in _STRINGS:
        return ""
    length, start = value[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(value[2:start], "big")
    if start + length != len(value):
        return ""
    try:
        return value[start:].decode(_STRINGS[value[0]])
    except UnicodeDecodeError:
        return ""


# --- keys and lists -----------------------------------------------------------------------------------------------------


def extract_public_key(pem: str) -> str:
    """Return the public key in PEM that a text holds by itself or within a certificate; raises ValueError."""
    data = pem.encode("utf-8", "surrogatepass")
    try:
        key = x509.load_pem_x509_certificate(data).public_key() if b"CERTIFICATE-----" in data else load_pem_public_key(data)
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    except Exception as error:  # as above
        raise ValueError("data does not contain any valid public keys") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """The serials that a list revokes, in decimal, and until when it says to be new."""

    serials: tuple[str, ...]
    next_update: datetime | None


def parse_revocations(data: bytes) -> RevocationList:
    """Return what a list in PEM or DER says; raises ValueError. Its signature is not looked at: who may store one is believed."""
    found = _load_list(data)
    try:
        serials = tuple(str(entry.serial_number) for entry in found)
        return RevocationList(serials=serials, next_update=found.next_update_utc)
    except Exception as error:  # as above
        raise ValueError(_NO_LIST) from error


def _load_list(data: bytes) -> x509.CertificateRevocationList:
    load: Callable[[bytes], x509.CertificateRevocationList]
    load = x509.load_pem_x509_crl if data.lstrip().startswith(b"-----BEGIN X509 CRL") else x509.load_der_x509_crl
    try:
        return load(data)
    except Exception as error:  # as above
        raise ValueError(_NO_LIST) from error


def is_signed_by(data: bytes, authorities: tuple[Certificate, ...]) -> bool:
    """Return whether one of the authorities that bear the issuer's name has signed a list; without any of that name nobody can tell.

    Raises ValueError where the data is no list.
    """
    found = _load_list(data)
    keys = [loaded.public_key() for one in authorities if (loaded := x509.load_der_x509_certificate(one.der)).subject == found.issuer]
    return not keys or any(_verifies(found, key) for key in keys)


def _verifies(found: x509.CertificateRevocationList, key: Any) -> bool:
    try:
        return found.is_signature_valid(key)
    except Exception:  # noqa: BLE001 - as above; what cannot be verified is not signed
        return False
