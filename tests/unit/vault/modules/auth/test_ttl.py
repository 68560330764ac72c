"""How long a token may live."""

import pytest

from vault.logical.mount import Mount, MountConfig
from vault.modules.auth.ttl import Grant, grant_ttl

HUGE = 2**63 // 10**9


def mount(default: int = 100, longest: int = 1000) -> Mount:
    """Return a mount with lease times."""
    config = MountConfig(default_lease_seconds=default, max_lease_seconds=longest)
    return Mount(path="auth/x/", kind="token", uuid="u", accessor="a", config=config)


@pytest.mark.parametrize(
    ("given", "ttl"),
    [
        ({"requested_seconds": 0}, 100),
        ({"requested_seconds": 1}, 1),
        ({"requested_seconds": 1000}, 1000),
        ({"requested_seconds": 1001}, 1000),
        ({"requested_seconds": HUGE}, 1000),
        ({"requested_seconds": 500, "explicit_max_seconds": 300}, 300),
        ({"requested_seconds": 0, "explicit_max_seconds": 50}, 50),
        ({"requested_seconds": 500, "explicit_max_seconds": HUGE}, 500),
        ({"requested_seconds": 500, "age_seconds": 700}, 300),
        ({"requested_seconds": 500, "age_seconds": 999}, 1),
        ({"requested_seconds": 500, "age_seconds": 1000}, 0),
        ({"requested_seconds": 500, "age_seconds": HUGE}, 0),
        ({"requested_seconds": 500, "explicit_max_seconds": 300, "age_seconds": 299}, 1),
        ({"requested_seconds": 500, "explicit_max_seconds": 300, "age_seconds": 301}, 0),
        ({"requested_seconds": 5, "period_seconds": 60}, 60),
        ({"requested_seconds": HUGE, "period_seconds": 60}, 60),
        ({"requested_seconds": 0, "period_seconds": 60, "age_seconds": 10**6}, 60),
        ({"requested_seconds": 0, "period_seconds": 5000}, 1000),
        ({"requested_seconds": 0, "period_seconds": 60, "explicit_max_seconds": 300, "age_seconds": 280}, 20),
        ({"requested_seconds": 0, "period_seconds": 60, "explicit_max_seconds": 300, "age_seconds": 400}, 0),
    ],
)
def test_granted_time(given: dict[str, int], ttl: int) -> None:
    """Requested or default, within the maxima that are left; a period starts anew each time, within the explicit maximum."""
    assert grant_ttl(mount(), **given).ttl_seconds == ttl


def test_what_is_cut_is_said() -> None:
    """And nothing is said otherwise."""
    assert grant_ttl(mount(), requested_seconds=1000) == Grant(ttl_seconds=1000)
    assert grant_ttl(mount(), requested_seconds=7200).warnings == (
        'TTL of "2h" exceeded the effective max_ttl of "16m40s"; TTL value is capped accordingly',
    )
    assert grant_ttl(mount(), requested_seconds=0, period_seconds=7200).warnings == (
        'period of "2h" exceeded the effective max_ttl of "16m40s"; period value is capped accordingly',
    )


def test_no_request_escapes_the_maximum() -> None:
    """Whatever is asked for at whatever age, all that is left is never more than the maximum, and never negative."""
    for requested in (0, 1, 999, 1000, 1001, HUGE):
        for age in (0, 1, 500, 999, 1000, 1001, HUGE):
            for explicit in (0, 1, 500, 2000, HUGE):
                granted = grant_ttl(mount(), requested_seconds=requested, explicit_max_seconds=explicit, age_seconds=age).ttl_seconds
                assert 0 <= granted <= max(0, 1000 - age)
                assert not explicit or granted <= max(0, explicit - age)
