"""Address blocks that bind tokens to where they are used."""

import ipaddress

from vault.errors import InvalidRequest


def parse_cidrs(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return canonical blocks; a bare address is a block of one. Raises InvalidRequest."""
    blocks = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            raise InvalidRequest(
                f'error parsing role fields: error parsing address "{text}": '
                f'Unable to convert "{text}" to an IPv4 or IPv6 address, or a UNIX Socket'
            ) from None
        blocks.append(str(network) if "/" in text else text.strip())
    return tuple(blocks)


def is_bound_to(cidrs: tuple[str, ...], address: str) -> bool:
    """Return whether a request from `address` may use what is bound to `cidrs`; no blocks bind nothing."""
    if not cidrs:
        return True
    try:
        source = ipaddress.ip_address(address)
    except ValueError:
        return False
    source = getattr(source, "ipv4_mapped", None) or source  # an IPv4 client of a socket that listens on both
    return any(source in ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)
