"""Random bytes and text."""

import os
import string
from collections import Counter

import pytest

from vault.crypto import random


@pytest.mark.parametrize("count", [0, 1, 24, 1000])
def test_text_has_its_length_and_alphabet(count: int) -> None:
    """Text is as long as asked, of letters and digits only."""
    text = random.random_base62(count)
    assert len(text) == count
    assert set(text) <= set(string.ascii_letters + string.digits)


def test_every_character_is_equally_likely() -> None:
    """No character is favoured, as a plain remainder would favour the first eight by a quarter."""
    count = 200_000
    found = Counter(random.random_base62(count))
    expected = count / 62
    # Chi-square with 61 degrees of freedom exceeds 140 once in ten million runs; a plain remainder gives about 1,000.
    assert sum((found[character] - expected) ** 2 / expected for character in string.ascii_letters + string.digits) < 140


def test_children_do_not_repeat_the_parent() -> None:
    """Two processes forked from one draw different bytes."""
    read, write = os.pipe()
    for _ in range(2):
        if os.fork() == 0:
            os.write(write, random.random_bytes(16))
            os._exit(0)
    for _ in range(2):
        os.wait()
    drawn = os.read(read, 32)
    os.close(read)
    os.close(write)
    assert len({drawn[:16], drawn[16:], random.random_bytes(16)}) == 3
