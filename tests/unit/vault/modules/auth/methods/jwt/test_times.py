"""When a token holds: Vault's rules, to the second."""

import pytest

from vault.errors import InvalidRequest
from vault.modules.auth.methods.jwt.claims import check_times
from vault.modules.auth.methods.jwt.role import Role

NOW = 1_000_000
PLAIN = Role()
STRICT = Role(clock_skew_leeway=-1, expiration_leeway=-1, not_before_leeway=-1)
LONG = Role(expiration_leeway=1000, not_before_leeway=1000)


@pytest.mark.parametrize(
    ("role", "claims", "holds"),
    [
        (PLAIN, {}, False),
        (PLAIN, {"exp": 0, "iat": 0, "nbf": 0}, False),
        (PLAIN, {"iat": 1, "exp": NOW - 60}, True),
        (PLAIN, {"iat": 1, "exp": NOW - 61}, False),
        (PLAIN, {"iat": 1, "nbf": NOW + 60, "exp": NOW + 99}, True),
        (PLAIN, {"iat": 1, "nbf": NOW + 61, "exp": NOW + 99}, False),
        (PLAIN, {"nbf": 1, "iat": NOW + 60, "exp": NOW + 99}, True),
        (PLAIN, {"nbf": 1, "iat": NOW + 61, "exp": NOW + 99}, False),
        (PLAIN, {"exp": NOW + 210}, True),
        (PLAIN, {"exp": NOW + 211}, False),
        (PLAIN, {"iat": NOW - 210}, True),
        (PLAIN, {"iat": NOW - 211}, False),
        (PLAIN, {"nbf": NOW - 210}, True),
        (PLAIN, {"nbf": NOW - 211}, False),
        (PLAIN, {"nbf": NOW - 210, "iat": NOW - 500}, True),
        (STRICT, {"iat": NOW}, True),
        (STRICT, {"iat": NOW - 1}, False),
        (STRICT, {"iat": NOW + 1}, False),
        (STRICT, {"exp": NOW}, True),
        (STRICT, {"exp": NOW + 1}, False),
        (STRICT, {"iat": 1, "exp": NOW - 1}, False),
        (LONG, {"iat": NOW - 1060}, True),
        (LONG, {"iat": NOW - 1061}, False),
        (LONG, {"exp": NOW + 1060}, True),
        (LONG, {"exp": NOW + 1061}, False),
    ],
)
def test_times(role: Role, claims: dict[str, int], holds: bool) -> None:
    """One of the three claims is enough, and the others follow from it by the leeways."""
    if holds:
        check_times(claims, role, NOW)
    else:
        with pytest.raises(InvalidRequest, match="claim"):
            check_times(claims, role, NOW)
