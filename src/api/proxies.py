"""Whose word counts for where a request came from, and whose certificate it brings: headers of proxies, as Vault reads them.

The last address of X-Forwarded-For was written by the proxy that talks to us, the one before by the proxy behind it; `hop_skips` says
how many of ours stand in a row. What comes before was written by the client, and may be anything. A proxy's own certificate never
stands for a client: where the header is missing, the client behind it has shown none.
"""

import base64
import binascii
from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address, ip_address
from urllib.parse import unquote_to_bytes

from vault.crypto.certificate import split_pem
from vault.errors import InvalidRequest
from vault.logical.request import no_certificates
from vault.settings import Proxies

Certificates = Callable[[], tuple[bytes, ...]]


def plain_address(text: str) -> str:
    """Return an IPv4 address as such, also where a socket for both families spells it as IPv6; without a zone."""
    if not text.startswith("::ffff:"):
        return text
    mapped = IPv6Address(text.partition("%")[0]).ipv4_mapped
    return text if mapped is None else str(mapped)


def find_client(proxies: Proxies, peer: str, forwarded: str | None) -> str:
    """Return the address of the client behind a peer; raises InvalidRequest where the listener does not take its word, or any other."""
    if forwarded is None:
        if proxies.reject_not_present:
            raise InvalidRequest("missing x-forwarded-for header and configured to reject when not present")
        return peer
    if not _is_authorized(proxies, peer):
        if proxies.reject_not_authorized:
            raise InvalidRequest("client address not authorized for x-forwarded-for and configured to reject connection")
        return peer
    chain = forwarded.split(",")
    index = len(chain) - 1 - proxies.hop_skips
    if index < 0:
        raise InvalidRequest(
            "malformed x-forwarded-for configuration or request, "
            f"hops to skip ({proxies.hop_skips}) would skip before earliest chain link (chain length {len(chain)})"
        )
    try:
        return plain_address(str(ip_address(chain[index].strip(" \t"))))
    except ValueError:
        raise InvalidRequest("malformed x-forwarded-for header: expected IP addresses") from None


def _is_authorized(proxies: Proxies, peer: str) -> bool:
    address = ip_address(peer)
    return any(address in network for network in proxies.networks)


def choose_certificates(proxies: Proxies, peer: str, shown: str | None, own: Certificates) -> Certificates:
    """Return how to ask for the certificates of the client behind a peer; `own` are those of the connection.

    Raises InvalidRequest where somebody else than a proxy sends the header; who asks, where the header holds no certificate.
    """
    if not _is_authorized(proxies, peer):
        if shown is not None and proxies.reject_not_authorized:
            raise InvalidRequest(
                f"client address not authorized for {proxies.certificate_header.lower()} and configured to reject connection"
            )
        return own
    if not shown:
        return no_certificates
    return partial(_decode, proxies, shown)


def _decode(proxies: Proxies, shown: str) -> tuple[bytes, ...]:
    # Two headers in one have a comma between them: one may be the client's own. Nothing that is decoded here has one otherwise.
    value: tuple[bytes, ...] = () if "," in shown else (shown.strip(" \t").encode("latin-1"),)
    try:
        for name in proxies.certificate_decoders:
            value = tuple(decoded for part in value for decoded in DECODERS[name](part))
    except (ValueError, binascii.Error):
        value = ()
    if not value:
        raise InvalidRequest(f"malformed {proxies.certificate_header.lower()} header: expected one certificate")
    return value


def _decode_base64(value: bytes) -> tuple[bytes, ...]:
    """Decode base64, also between the colons of RFC 9440."""
    inner = value[1:-1] if len(value) > 2 and value[:1] == value[-1:] == b":" else value
    return (base64.b64decode(inner, validate=True),)


# By Vault's names. DER says what comes out: PEM goes in.
DECODERS: dict[str, Callable[[bytes], tuple[bytes, ...]]] = {
    "URL": lambda value: (unquote_to_bytes(value),),
    "BASE64": _decode_base64,
    "DER": split_pem,
}
