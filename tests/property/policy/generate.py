"""Random policies and paths over a few short words, so that patterns overlap and nearly match all the time."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.property.policy.model import Block

CAPABILITIES = ("create", "read", "update", "delete", "list", "sudo", "patch", "scan")
WORDS = ("a", "b", "ab", "abc")
PATTERN_WORDS = (*WORDS, "+", "+", "+b", "a+", "")


def make_path(source: random.Random, prefix: str = "", words: Sequence[str] = (*WORDS, "+", "")) -> str:
    """Return a path of up to four segments, sometimes with a slash at its end."""
    path = prefix + "/".join(source.choice(words) for _ in range(source.randint(1, 4)))
    return path + "/" if source.random() < 0.25 and not path.endswith("/") else path


def make_pattern(source: random.Random, prefix: str = "") -> str:
    """Return a pattern; `+*` is no pattern."""
    pattern = make_path(source, prefix, PATTERN_WORDS)
    star = "*" if source.random() < 0.4 else ""
    return pattern if pattern.endswith("+") else pattern + star


def make_capabilities(source: random.Random) -> frozenset[str]:
    """Return a few capabilities, sometimes none, sometimes a denial."""
    if source.random() < 0.12:
        return frozenset({"deny"})
    return frozenset(source.sample(CAPABILITIES, source.randint(0, 5)))


def make_policies(source: random.Random, prefix: str = "") -> list[list[Block]]:
    """Return up to three policies whose patterns often coincide."""
    pool = [make_pattern(source, prefix) for _ in range(source.randint(1, 8))]
    return [[(source.choice(pool), make_capabilities(source)) for _ in range(source.randint(0, 6))] for _ in range(source.randint(1, 3))]


def write_hcl(blocks: Sequence[Block]) -> str:
    """Return the text of a policy."""
    lines = [f'path "{pattern}" {{ capabilities = [{", ".join(f"{name!r}" for name in sorted(found))}] }}' for pattern, found in blocks]
    return "\n".join(lines).replace("'", '"') + "\n"
