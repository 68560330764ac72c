"""Whose word counts for where a request came from: X-Forwarded-For, as Vault reads it.

The last address of the header was written by the proxy that talks to us, the one before by the proxy behind it; `hop_skips` says
how many of ours stand in a row. What comes before was written by the client, and may be anything.
"""

from ipaddress import IPv6Address, ip_address

from vault.errors import InvalidRequest
from vault.settings import Proxies


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
    address = ip_address(peer)
    if not any(address in network for network in proxies.networks):
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
