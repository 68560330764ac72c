"""Certificates of every kind for tests of who judges them: chains, wrong purposes, wrong times, and revocation lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
UNITS = NameOID.ORGANIZATIONAL_UNIT_NAME


def name(common_name: str, *units: str) -> x509.Name:
    """Return a subject."""
    attributes = [x509.NameAttribute(UNITS, unit) for unit in units]
    return x509.Name([*attributes, *([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])])


def usage(*, signs: bool) -> x509.KeyUsage:
    """Return a key usage that lets a key sign certificates and lists, or only handshakes."""
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def text_extension(oid: str, value: str) -> x509.UnrecognizedExtension:
    """Return an extension that holds a UTF8String."""
    data = value.encode()
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), bytes([0x0C, len(data)]) + data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate and its key; one that may sign can issue others."""

    certificate: x509.Certificate
    key: Any

    @property
    def der(self) -> bytes:
        """Return the certificate in DER."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> str:
        """Return the certificate in PEM."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def serial(self) -> str:
        """Return the serial in decimal."""
        return str(self.certificate.serial_number)

    def write(self, folder: Path, *chain: Issued) -> tuple[str, str]:
        """Write certificate, chain and key; return their files."""
        cert_file, key_file = folder / f"{self.serial}.pem", folder / f"{self.serial}.key"
        cert_file.write_text(self.pem + "".join(member.pem for member in chain))
        key_file.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return str(cert_file), str(key_file)

    def issue(self, subject: str | x509.Name = "client", **options: Any) -> Issued:
        """Issue a client's certificate, or whatever the options make of it."""
        return make(subject, issuer=self, **options)

    def revoke(self, *revoked: Issued, now: datetime | None = None, days: int = 1, key: Any = None) -> bytes:
        """Return a revocation list in PEM; with another key its signature is wrong."""
        moment = now or datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(moment - timedelta(hours=1)).next_update(moment + timedelta(days=days))
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number).revocation_date(moment).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(key or self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def make(
    subject: str | x509.Name,
    *,
    issuer: Issued | None = None,
    authority: bool = False,
    purposes: Sequence[x509.ObjectIdentifier] = (CLIENT,),
    names: Sequence[x509.GeneralName] = (),
    extensions: Sequence[x509.ExtensionType] = (),
    now: datetime | None = None,
    since: timedelta = timedelta(hours=-1),
    until: timedelta = timedelta(days=1),
    key: Any = None,
    serial: int | None = None,
    digest: Any = None,
    path_length: int | None = None,
) -> Issued:
    """Make a certificate, signed by itself unless there is an issuer."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    moment = now or datetime.now(UTC)
    own = name(subject) if isinstance(subject, str) else subject
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(issuer.certificate.subject if issuer else own)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(moment + since)
        .not_valid_after(moment + until)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=path_length), critical=True)
        .add_extension(usage(signs=authority), critical=True)
    )
    own_purposes = [] if authority and purposes == (CLIENT,) else [x509.ExtendedKeyUsage(list(purposes))] if purposes else []
    alternatives = [x509.SubjectAlternativeName(list(names))] if names else []
    for extension in (*own_purposes, *alternatives, *extensions):
        builder = builder.add_extension(extension, critical=False)
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else digest or hashes.SHA256()
    return Issued(certificate=builder.sign(signer, algorithm), key=key)
