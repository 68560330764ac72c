"""How long a token may live: the one place where requested, default and maximum times meet."""

import msgspec

from vault.logical.args import format_duration
from vault.logical.mount import Mount


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A granted time, and what the caller is told about it. Seconds."""

    ttl_seconds: int
    warnings: tuple[str, ...] = ()


def grant_ttl(
    mount: Mount,
    *,
    requested_seconds: int,
    max_seconds: int = 0,
    period_seconds: int = 0,
    explicit_max_seconds: int = 0,
    age_seconds: int = 0,
) -> Grant:
    """Return the time that a token gets from now on.

    A periodic token gets its period, up to what is left of an explicit maximum. Every other token gets what it asks for or
    the default, up to what is left of the mount's maximum, of `max_seconds` (of its role) and of the explicit one. `age_seconds`
    is its age at a renewal.
    """
    word = "period" if period_seconds else "TTL"
    wanted = period_seconds or requested_seconds or mount.default_lease_seconds
    # A period may not exceed the mount's maximum, but each renewal starts it anew.
    ceilings = [mount.max_lease_seconds - (0 if period_seconds else age_seconds)]
    if max_seconds and not period_seconds:
        ceilings.append(max_seconds - age_seconds)
    if explicit_max_seconds:
        ceilings.append(explicit_max_seconds - age_seconds)
    ceiling = max(min(ceilings), 0)
    if wanted <= ceiling:
        return Grant(ttl_seconds=wanted)
    text = (
        f'{word} of "{format_duration(wanted)}" exceeded the effective max_ttl of "{format_duration(ceiling)}"; '
        f"{word} value is capped accordingly"
    )
    return Grant(ttl_seconds=ceiling, warnings=(text,))
