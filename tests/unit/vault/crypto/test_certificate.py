"""Certificates, keys and revocation lists as plain values, and what is none."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.issuer import make, name, text_extension
from vault.crypto.certificate import extract_public_key, is_signed_by, parse_certificate, parse_certificates, parse_revocations, split_pem

ROOT = make("root", authority=True)
LEAF = ROOT.issue(
    name("anna", "surgery", "night"),
    names=[x509.DNSName("a.example"), x509.RFC822Name("a@example.org"), x509.UniformResourceIdentifier("spiffe://a/b")],
    extensions=[
        text_extension("1.2.3.4", "ward"),
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.5"), b"\x0c\x05ab"),
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.6"), b"\x0c\x02\xff\xff"),
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.7"), b"\x0c\x81\x80" + b"x" * 128),
        x509.SubjectKeyIdentifier(b"\x01\x02"),
    ],
)


@pytest.mark.parametrize("data", [b"", b"x", LEAF.der[:-1], LEAF.der + b"x", LEAF.der[:300] + b"\xff" + LEAF.der[301:]], ids=range(5))
def test_nonsense_is_no_certificate(data: bytes) -> None:
    """Whatever a client sends as certificate, it is read or it is a ValueError."""
    try:
        parse_certificate(data)
    except ValueError:
        return
    assert data[300:301] == b"\xff"  # a byte within a signature or a key may be any


@pytest.mark.parametrize("cut", range(0, 600, 7))
def test_damaged_certificate_is_read_or_refused(cut: int) -> None:
    """A byte that is not what it was leads to no other error."""
    damaged = bytearray(LEAF.der)
    damaged[cut % len(damaged)] ^= 0x55
    try:
        parse_certificate(bytes(damaged))
    except ValueError:
        return


@pytest.mark.parametrize("pem", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\ud800"])
def test_text_without_a_certificate_is_refused(pem: str) -> None:
    """No certificate at all is an error, not an empty list."""
    with pytest.raises(ValueError):
        parse_certificates(pem)


def test_certificate_is_read() -> None:
    """Every part that a role can ask for; an extension that holds no text counts as empty."""
    found = parse_certificate(LEAF.der)
    assert (found.common_name, found.organizational_units) == ("anna", ("surgery", "night"))
    assert (found.dns_names, found.emails, found.uris) == (("a.example",), ("a@example.org",), ("spiffe://a/b",))
    assert (found.is_authority, found.signs, found.serves_clients) == (False, False, True)
    assert [found.extensions[f"1.2.3.{last}"] for last in (4, 5, 6, 7)] == ["ward", "", "", "x" * 128]
    assert (found.subject_key_id, found.authority_key_id, str(found.serial)) == (b"\x01\x02", b"", LEAF.serial)
    assert parse_certificates(f"noise\n{LEAF.pem}\n{ROOT.pem}") == (found, parse_certificate(ROOT.der))
    assert split_pem(LEAF.pem.encode()) == (LEAF.der,)


def test_public_key_is_found() -> None:
    """By itself or within a certificate; a private key is no public one."""
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())):
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        assert extract_public_key(pem) == pem
        assert extract_public_key(make("holder", key=key).pem) == pem
    for nonsense in ("", "x", "-----BEGIN CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"):
        with pytest.raises(ValueError):
            extract_public_key(nonsense)


def test_revocation_list_is_read() -> None:
    """In PEM and DER; its signature counts where somebody of its issuer's name is trusted."""
    pem = ROOT.revoke(LEAF)
    found = parse_revocations(pem)
    der = x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)
    assert found == parse_revocations(der)
    assert found.serials == (LEAF.serial,)
    assert found.next_update is not None
    own, namesake, other = (parse_certificate(one.der) for one in (ROOT, make("root", authority=True), make("other", authority=True)))
    assert is_signed_by(pem, (namesake, own))
    assert is_signed_by(pem, (other,))
    assert not is_signed_by(pem, (namesake, other))
    for nonsense in (b"", b"x", LEAF.der, b"-----BEGIN X509 CRL-----\n"):
        with pytest.raises(ValueError):
            parse_revocations(nonsense)
