"""Which chains hold: purposes, times, signatures and names of those who sign."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from tests.issuer import CLIENT, SERVER, Issued, make, name
from vault.crypto.certificate import Certificate, parse_certificate
from vault.crypto.chain import find_chain

NOW = datetime.now(UTC)
ROOT = make("root", authority=True)
BETWEEN = ROOT.issue("between", authority=True)
WEAK_KEY = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused


def read(issued: Issued) -> Certificate:
    """Return a certificate as the vault sees it."""
    return parse_certificate(issued.der)


def chain(leaf: Issued, *others: Issued, authority: Issued = ROOT, now: datetime = NOW) -> list[str] | None:
    """Return the names along the chain."""
    found = find_chain(read(leaf), tuple(read(other) for other in others), read(authority), now)
    return None if found is None else [member.common_name for member in found]


def _signed_by_leaf() -> tuple[Issued, ...]:
    leaf = ROOT.issue("leaf")
    return leaf.issue("forged"), leaf


def _of_restricted_authority() -> tuple[Issued, ...]:
    names = x509.NameConstraints(permitted_subtrees=[x509.DNSName("good.example")], excluded_subtrees=None)
    between = ROOT.issue("restricted", authority=True, extensions=[names])
    return between.issue("bad", names=[x509.DNSName("bad.example")]), between


def _too_deep() -> tuple[Issued, ...]:
    short = ROOT.issue("short", authority=True, path_length=0)
    below = short.issue("below", authority=True)
    return below.issue("leaf"), below, short


WRONG: dict[str, tuple[Issued, ...]] = {
    "of a stranger": (make("stranger", authority=True).issue("leaf"),),
    "of a namesake": (make("root", authority=True).issue("leaf"),),
    "self-signed": (make("leaf"),),
    "expired": (ROOT.issue(until=timedelta(minutes=-1)),),
    "not yet valid": (ROOT.issue(since=timedelta(minutes=1)),),
    "for servers": (ROOT.issue(purposes=[SERVER]),),
    "without what stands between": (BETWEEN.issue("leaf"),),
    "signed by a leaf": _signed_by_leaf(),
    "an intermediate that is over": (
        (over := ROOT.issue("over", authority=True, until=timedelta(minutes=-1))).issue("leaf"),
        over,
    ),
    "an intermediate for servers": (
        (servers := ROOT.issue("servers", authority=True, purposes=[SERVER])).issue("leaf"),
        servers,
    ),
    "a name that its authority may not give": _of_restricted_authority(),
    "deeper than allowed": _too_deep(),
    "a weak key": (ROOT.issue(key=WEAK_KEY),),
    "a DSA key": (ROOT.issue(key=dsa.generate_private_key(1024)),),  # noqa: S505 - to be refused
    "an intermediate with a weak key": (
        (weak := ROOT.issue("weak", authority=True, key=WEAK_KEY)).issue("leaf"),
        weak,
    ),
    "a critical extension that nobody knows": (
        Issued(
            certificate=x509.CertificateBuilder()
            .subject_name(name("odd"))
            .issuer_name(ROOT.certificate.subject)
            .public_key(BETWEEN.key.public_key())
            .serial_number(7)
            .not_valid_before(NOW - timedelta(hours=1))
            .not_valid_after(NOW + timedelta(hours=1))
            .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), critical=True)
            .sign(ROOT.key, hashes.SHA256()),
            key=BETWEEN.key,
        ),
    ),
}


@pytest.mark.parametrize("certificates", WRONG.values(), ids=WRONG)
def test_chain_does_not_hold(certificates: tuple[Issued, ...]) -> None:
    """Whoever was not signed for, is late, or is meant for something else, is nobody."""
    assert chain(*certificates) is None


@pytest.mark.parametrize(
    "authority",
    [
        make("leaf"),
        make("root", authority=True, purposes=[SERVER], key=ROOT.key),
        make("root", authority=True, until=timedelta(minutes=-1), key=ROOT.key),
        make("root", authority=False, key=ROOT.key),
    ],
    ids=["no authority", "for servers", "over", "same key but no authority"],
)
def test_authority_that_may_not_sign_signs_nothing(authority: Issued) -> None:
    """Trust in a certificate is no trust in whom it signed."""
    assert chain(authority.issue("leaf"), authority=authority) is None


def test_broken_hash_does_not_hold() -> None:
    """A signature over SHA-1 is none, except under the root itself. Nobody makes such certificates any more: the flag is set by hand."""
    leaf, weak = read(ROOT.issue()), replace(read(BETWEEN), has_strong_hash=False)
    assert find_chain(replace(leaf, has_strong_hash=False), (), read(ROOT), NOW) is None
    assert find_chain(read(BETWEEN.issue()), (weak,), read(ROOT), NOW) is None
    assert find_chain(leaf, (), replace(read(ROOT), has_strong_hash=False), NOW) is not None


def test_chain_holds() -> None:
    """A client is known by its authority, by one between them, or by an authority that is no root; other keys are as good."""
    assert chain(ROOT.issue("leaf")) == ["leaf", "root"]
    assert chain(BETWEEN.issue("leaf"), BETWEEN) == ["leaf", "between", "root"]
    assert chain(BETWEEN.issue("leaf"), make("noise", authority=True), BETWEEN) == ["leaf", "between", "root"]
    assert chain(BETWEEN.issue("leaf"), authority=BETWEEN) == ["leaf", "between"]
    assert chain(ROOT.issue("leaf", purposes=())) == ["leaf", "root"]
    assert chain(ROOT.issue("leaf", purposes=[SERVER, CLIENT])) == ["leaf", "root"]
    for key in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP521R1()), rsa.generate_private_key(65537, 2048)):
        own = make("other", authority=True, key=key)
        assert chain(own.issue("leaf", key=key), authority=own) == ["leaf", "other"]


def test_chain_holds_by_the_time_of_the_request() -> None:
    """The clock is the request's, not OpenSSL's."""
    leaf = ROOT.issue("leaf", until=timedelta(hours=2))
    assert chain(leaf, now=NOW + timedelta(hours=1)) == ["leaf", "root"]
    assert chain(leaf, now=NOW + timedelta(hours=3)) is None
