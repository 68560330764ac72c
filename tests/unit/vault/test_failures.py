"""Counting failed logins: pure values."""

import pytest
from msgspec import structs

from vault import limits
from vault.failures import PLACES, Group, Record, Rule, fold_name

RULE = Rule(threshold=3, duration_seconds=100, reset_seconds=50)
NOW = 1_000.0


def fail(record: Record, times: int, now: float = NOW) -> Record:
    """Count failures."""
    for _ in range(times):
        record = record.fail(now)
    return record


@pytest.mark.parametrize(
    ("name", "same"),
    [("Ann", "ann"), (" ann", "ann"), ("ann ", "ann"), ("\uff41\uff4e\uff4e", "ann"), ("straße", "STRASSE"), ("ﬁt", "fit")],
)
def test_spellings_are_one_name(name: str, same: str) -> None:
    """Whatever the auth method makes of them."""
    assert fold_name(name) == fold_name(same)


def test_a_long_name_takes_bounded_room() -> None:
    """It is known by its hash, and still told from others."""
    assert len(fold_name("x" * 10_000)) < 100
    assert fold_name("x" * 10_000) != fold_name("x" * 10_001)


def test_a_name_is_locked_at_the_threshold_and_for_the_duration() -> None:
    """Not before, not longer."""
    assert not fail(Record(name="ann"), 2).is_locked(RULE, NOW)
    locked = fail(Record(name="ann"), 3)
    assert locked.settle(RULE, NOW + 99).is_locked(RULE, NOW + 99)
    assert locked.settle(RULE, NOW + 100).failures == 0


def test_failures_are_forgotten_after_a_while_without_another() -> None:
    """Each failure keeps those before it alive."""
    record = fail(Record(name="ann"), 2)
    assert record.settle(RULE, NOW + 49).failures == 2
    assert record.settle(RULE, NOW + 50).failures == 0
    assert record.fail(NOW + 49).settle(RULE, NOW + 98).failures == 3


def test_the_attempt_of_a_dead_process_is_a_failure() -> None:
    """It is not known what it found, so it counts as a guess."""
    record = Record(name="ann").begin("a", NOW).begin("b", NOW + 5)
    late = NOW + limits.ATTEMPT_SECONDS_MAX
    rule = structs.replace(RULE, reset_seconds=500)
    assert record.settle(rule, late).weight == 2
    assert record.settle(rule, late).failures == 0
    assert record.settle(rule, late + 1) == Record(name="ann", failures=1, failed_at=NOW, attempts={"b": NOW + 5})


def test_a_full_group_gives_nobody_more_guesses() -> None:
    """A newcomer goes on from the one with the fewest failures, whose place it takes; the locked ones stay."""
    group = Group()
    for number in range(PLACES):
        group = group.put(fail(Record(name=f"name{number}"), 3 if number else 2, NOW + number))
    newcomer = group.find("newcomer")
    assert newcomer == Record(name="newcomer", failures=2, failed_at=NOW)
    changed = group.put(newcomer.fail(NOW))
    assert len(changed.records) == PLACES
    assert changed.find("newcomer").is_locked(RULE, NOW)
    assert all(changed.find(f"name{number}").failures == 3 for number in range(1, PLACES))
    # The one that lost its place begins no better than the others are.
    assert changed.find("name0").failures == 3


def test_a_full_group_loses_nothing_to_a_success() -> None:
    """Who has nothing to be remembered takes no place."""
    group = Group(records=tuple(fail(Record(name=f"name{number}"), 1) for number in range(PLACES)))
    assert group.put(group.find("newcomer").forgive()) == group


def test_a_group_ends_with_its_last_record() -> None:
    """Attempts included: they may become failures."""
    group = Group(records=(fail(Record(name="a"), 1), Record(name="b").begin("x", NOW)))
    assert group.find_end(RULE) == NOW + limits.ATTEMPT_SECONDS_MAX + 100
    assert group.settle(RULE, NOW + limits.ATTEMPT_SECONDS_MAX + 100).records == ()
