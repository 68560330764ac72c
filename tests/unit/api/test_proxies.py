from base64 import b64encode
from ipaddress import ip_network
from urllib.parse import quote

import pytest

from api.proxies import Certificates, choose_certificates, find_client, plain_address
from tests.issuer import make
from vault.errors import InvalidRequest
from vault.settings import Proxies

PROXY, OTHER = "10.0.0.1", "192.0.2.1"


def trusting(**values: object) -> Proxies:
    """Return rules that believe the proxies of two networks."""
    return Proxies(networks=(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rules", "peer", "header"),
    [
        (trusting(), PROXY, None),
        (trusting(), OTHER, "198.51.100.7"),
        (trusting(), PROXY, ""),
        (trusting(), PROXY, "198.51.100.7, "),
        (trusting(), PROXY, "unknown"),
        (trusting(), PROXY, "198.51.100.7:80"),
        (trusting(), PROXY, "198.51.100.999"),
        (trusting(), PROXY, "198.51.100.07"),
        (trusting(), PROXY, "_hidden, for=198.51.100.7"),
        (trusting(hop_skips=1), PROXY, "198.51.100.7"),
        (trusting(hop_skips=2), PROXY, "198.51.100.7, 10.0.0.2"),
        (trusting(hop_skips=1), PROXY, "nonsense, 10.0.0.2"),
        (trusting(reject_not_present=False), OTHER, "198.51.100.7"),
        (trusting(reject_not_authorized=False), PROXY, "nonsense"),
    ],
)
def test_find_client_refuses(rules: Proxies, peer: str, header: str | None) -> None:
    """A header that is missing, comes from anybody, or is none, is no word to go by."""
    with pytest.raises(InvalidRequest):
        find_client(rules, peer, header)


@pytest.mark.parametrize(
    ("rules", "peer", "header", "client"),
    [
        (trusting(), PROXY, "198.51.100.7", "198.51.100.7"),
        (trusting(), PROXY, "spoofed, 198.51.100.7", "198.51.100.7"),
        (trusting(), PROXY, "1.1.1.1,198.51.100.7", "198.51.100.7"),
        (trusting(), "2001:db8::1", " 2001:DB8::7\t", "2001:db8::7"),
        (trusting(), PROXY, "::ffff:198.51.100.7", "198.51.100.7"),
        (trusting(hop_skips=1), PROXY, "1.1.1.1, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        (trusting(hop_skips=1), PROXY, "198.51.100.7, nonsense", "198.51.100.7"),
        (trusting(reject_not_present=False), PROXY, None, PROXY),
        (trusting(reject_not_present=False), OTHER, None, OTHER),
        (trusting(reject_not_authorized=False), OTHER, "198.51.100.7", OTHER),
        (trusting(reject_not_authorized=False), OTHER, "nonsense", OTHER),
    ],
)
def test_find_client_returns(rules: Proxies, peer: str, header: str | None, client: str) -> None:
    """The address that our own proxy saw counts, and the peer's where its word does not."""
    assert find_client(rules, peer, header) == client


@pytest.mark.parametrize(
    ("text", "plain"), [("::ffff:10.0.0.1", "10.0.0.1"), ("10.0.0.1", "10.0.0.1"), ("::1", "::1"), ("fe80::1%eth0", "fe80::1%eth0")]
)
def test_address_is_plain(text: str, plain: str) -> None:
    """A socket for both families spells IPv4 addresses its own way; rules are written in theirs."""
    assert plain_address(text) == plain


LEAF, CHAIN = make("leaf"), make("chain", authority=True)
OWN: Certificates = lambda: (b"own",)  # noqa: E731 - a value of the test
BASE64 = b64encode(LEAF.der).decode()
URL = {"certificate_decoders": ("URL", "DER")}


def forwarding(**values: object) -> Proxies:
    """Return rules by which the proxies hand on certificates."""
    return trusting(certificate_header="Client-Cert", **values)


def test_certificate_of_a_header_counts_only_from_proxies() -> None:
    """From anybody else it is refused, or ignored where the listener says so; then the connection's own counts."""
    with pytest.raises(InvalidRequest, match="not authorized for client-cert"):
        choose_certificates(forwarding(), OTHER, BASE64, OWN)
    assert choose_certificates(forwarding(reject_not_authorized=False), OTHER, BASE64, OWN) is OWN
    assert choose_certificates(forwarding(), OTHER, None, OWN) is OWN


@pytest.mark.parametrize("shown", [None, ""])
def test_certificate_of_a_proxy_stands_for_no_client(shown: str | None) -> None:
    """A client behind a proxy that shows none has none, whatever the proxy itself shows to us."""
    assert choose_certificates(forwarding(), PROXY, shown, OWN)() == ()


@pytest.mark.parametrize(
    ("values", "shown", "expected"),
    [
        ({}, BASE64, (LEAF.der,)),
        ({}, f" :{BASE64}: ", (LEAF.der,)),
        (URL, quote(LEAF.pem), (LEAF.der,)),
        (URL, quote(LEAF.pem, safe="+=/"), (LEAF.der,)),
        (URL, quote(LEAF.pem + CHAIN.pem), (LEAF.der, CHAIN.der)),
        ({"certificate_decoders": ("BASE64", "DER")}, b64encode(LEAF.pem.encode()).decode(), (LEAF.der,)),
    ],
    ids=range(6),
)
def test_certificate_of_a_header_is_decoded(values: dict[str, object], shown: str, expected: tuple[bytes, ...]) -> None:
    """As nginx, Traefik, load balancers and RFC 9440 write it."""
    assert choose_certificates(forwarding(**values), PROXY, shown, OWN)() == expected


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({}, "x"),
        ({}, f"{BASE64},{BASE64}"),
        ({}, f":{BASE64}:, :{BASE64}:"),
        ({}, f":{BASE64}"),
        ({}, quote(LEAF.pem)),
        ({}, "\xff"),
        (URL, BASE64),
        (URL, "%ZZ"),
        (URL, f"{quote(LEAF.pem)},{quote(CHAIN.pem)}"),
        (URL, quote("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")),
    ],
    ids=range(10),
)
def test_malformed_certificate_of_a_header_is_refused(values: dict[str, object], shown: str) -> None:
    """Two headers in one are no certificate either: one of them may be the client's own."""
    found = choose_certificates(forwarding(**values), PROXY, shown, OWN)
    with pytest.raises(InvalidRequest, match="malformed client-cert header"):
        found()
