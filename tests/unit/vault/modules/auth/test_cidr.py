"""Address blocks."""

import pytest

from vault.errors import InvalidRequest
from vault.modules.auth.cidr import is_bound_to, parse_cidrs


@pytest.mark.parametrize("text", ["x", "", "10.0.0.0/33", "10.0.0", "10.0.0.0/-1", "::1/129", "10.0.0.0/8/8", "010.0.0.1", "host.example"])
def test_what_is_no_block_is_refused(text: str) -> None:
    """Names are not resolved."""
    with pytest.raises(InvalidRequest, match="error parsing address"):
        parse_cidrs(("10.0.0.0/8", text))


def test_blocks_have_one_spelling() -> None:
    """Host bits go, a bare address stays bare."""
    assert parse_cidrs(("10.1.2.3/8", " 10.0.0.1 ", "::1", "2001:DB8::/32")) == ("10.0.0.0/8", "10.0.0.1", "::1", "2001:db8::/32")
    assert parse_cidrs(()) == ()


@pytest.mark.parametrize("address", ["11.0.0.1", "::1", "", "x", "10.0.0.1:80", "10.0.0.1, 11.0.0.1", "::ffff:11.0.0.1", "::10.0.0.1"])
def test_addresses_outside_are_refused(address: str) -> None:
    """And what is not understood is outside."""
    assert not is_bound_to(("10.0.0.0/8", "192.168.0.1"), address)


@pytest.mark.parametrize("address", ["10.0.0.1", "10.255.255.255", "192.168.0.1", "::ffff:10.0.0.1", "2001:db8::5"])
def test_addresses_inside_are_taken(address: str) -> None:
    """In any of the blocks, also where IPv6 wraps an IPv4 address."""
    assert is_bound_to(("10.0.0.0/8", "192.168.0.1", "2001:db8::/32"), address)
    assert is_bound_to((), "anything")
