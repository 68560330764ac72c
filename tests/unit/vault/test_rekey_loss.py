"""A rekey whose answer is lost, whose process is killed, or whose root key must reach other hosts: nobody is locked out."""

import json
from typing import Any

import pytest

from tests.unit.vault.fault import Killed
from tests.unit.vault.holders import BARE, CrashingRows, Holders
from vault.errors import InvalidRequest, Sealed
from vault.handover import HANDOVER
from vault.logical.operation import Operation
from vault.shares import FORMER, KEYRING, find_sealed


@pytest.fixture
def host() -> Holders:
    """Return an open host."""
    return Holders()


# -- when the answer is lost ------------------------------------------------------------------------------------------


def test_former_shares_open_until_the_answer_has_left(host: Holders) -> None:
    """A rekey whose answer was lost locks nobody out: the old shares open, rekey again, and then are over."""
    lost = host.finish(host.start(3, 2), sent=False)
    assert host.opens(host.keys)
    again = host.finish(host.start(4, 3))
    assert not host.opens(host.keys)
    assert not host.opens(lost, 2)
    assert host.opens(again)


@pytest.mark.parametrize(("shares", "threshold"), [(1, 1), (3, 2), (7, 5)])
def test_use_of_the_new_shares_ends_the_former(host: Holders, shares: int, threshold: int) -> None:
    """They have arrived, whatever was heard of the answer. Both sets open before that, whatever their thresholds."""
    new = host.finish(host.start(shares, threshold), sent=False)
    assert host.opens(host.keys)
    assert FORMER in host.rows.rows
    assert host.opens(new, threshold)
    assert FORMER not in host.rows.rows
    assert not host.opens(host.keys)


def test_late_news_of_an_answer_spares_a_later_rekey(host: Holders) -> None:
    """What it may remove is its own former lock."""
    new = host.finish(host.start(5, 3), sent=False)
    late = host.answered
    host.finish(host.start(5, 3), new, sent=False)
    assert late is not None
    assert late.sent is not None
    late.sent()
    assert FORMER in host.rows.rows
    assert host.opens(new)


def test_wrapped_answer_is_not_taken_for_one_that_arrived(host: Holders) -> None:
    """The new shares wait behind a token; until they are used the former ones open as well."""
    nonce = host.start(3, 2)
    for key in host.keys[:2]:
        host.offer(nonce, key)
    answer = host.send(Operation.UPDATE, f"{BARE}/update", {"key": host.keys[2], "nonce": nonce}, token=host.root, wrap=60)
    assert answer is not None
    assert answer.wrap_info is not None
    assert answer.sent is None
    assert host.opens(host.keys)
    inner = host.send(Operation.UPDATE, "sys/wrapping/unwrap", {}, token=answer.wrap_info.token.reveal())
    assert inner is not None
    assert inner.body is not None
    assert host.opens(json.loads(inner.body)["keys"], 2)
    assert not host.opens(host.keys)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("verifies", [False, True])
@pytest.mark.parametrize("step", range(1, 9))
def test_killed_at_any_commit_old_or_new_shares_open(step: int, *, verifies: bool, after: bool) -> None:
    """Whichever commit the process dies at: a respawned worker serves, and after a restart shares that somebody holds open."""
    rows = CrashingRows()
    host = Holders()
    rows._rows = host.rows._rows
    host.rows = host.physical = rows
    host.first = host.worker()
    known: list[tuple[list[str], int]] = [(host.keys, 3)]
    rows.left, rows.after = step, after
    try:
        nonce = host.start(3, 2, require_verification=verifies)
        data: dict[str, Any] = {}
        for key in host.keys[:3]:
            data = host.offer(nonce, key)
        known.append((data["keys"], 2))
        if verifies:
            for key in data["keys"][:2]:
                host.ask(Operation.UPDATE, f"{BARE}/verify", key=key, nonce=data["verification_nonce"])
        assert host.answered is not None
        if host.answered.sent is not None:
            host.answered.sent()
    except Killed:
        pass
    rows.left = 0
    assert host.ask(Operation.READ, "auth/token/lookup-self", host.worker())["policies"] == ["root"]
    root_key = host.page.read_seal().root_key  # that of the database, whoever wrote it
    assert find_sealed(root_key, host.rows.rows[KEYRING].value, KEYRING) is not None
    assert any(host.opens(keys, threshold) for keys, threshold in known)


# -- the root key on this and on other hosts --------------------------------------------------------------------------


def _pair() -> tuple[Holders, Holders]:
    host = Holders()
    other = Holders(host.rows)
    other.keys, other.root = host.keys, host.root
    other.open(host.keys)
    return host, other


def test_another_host_takes_the_root_key_over() -> None:
    """Any of its workers brings it in; workers that come later are open, and the handover ends after minutes."""
    host, other = _pair()
    host.finish(host.start())
    assert other.page.read_seal().root_key != host.page.read_seal().root_key
    other.first.seal.root_key.follow()
    assert other.page.read_seal().root_key == host.page.read_seal().root_key
    assert other.ask(Operation.READ, "auth/token/lookup-self", other.worker())["policies"] == ["root"]
    host.work()
    assert HANDOVER in host.rows.rows
    host.clock.advance(301)
    host.work()
    assert HANDOVER not in host.rows.rows


def test_host_that_missed_the_handover_seals_itself() -> None:
    """Its running workers go on; the first one that cannot open the keyring for a while seals the host, and the new shares open it."""
    host, other = _pair()
    new = host.finish(host.start())
    del host.rows._rows[HANDOVER]
    late = other.worker()
    with pytest.raises(Sealed):
        other.ask(Operation.READ, "auth/token/lookup-self", late)
    other.clock.advance(9)
    with pytest.raises(Sealed):
        other.ask(Operation.READ, "auth/token/lookup-self", late)
    other.clock.advance(2)
    assert not other.page.read_seal().sealed
    with pytest.raises(Sealed):
        other.ask(Operation.READ, "auth/token/lookup-self", late)
    assert other.page.read_seal().sealed
    assert other.page.read_seal().root_key == b""
    with pytest.raises(InvalidRequest):
        other.open(host.keys)
    other.open(new, 2)
    assert other.ask(Operation.READ, "auth/token/lookup-self", late)["policies"] == ["root"]


def test_only_the_root_key_of_today_is_taken_over(host: Holders) -> None:
    """An old handover and a sealed host change nothing."""
    first = host.page.read_seal().root_key
    new = host.finish(host.start(5, 3))
    present = host.page.read_seal().root_key
    host.first.seal.root_key.adopt(first)
    assert host.page.read_seal().root_key == present
    host.first.seal.seal()
    host.first.seal.root_key.adopt(present)
    state = host.page.read_seal()
    assert (state.sealed, state.root_key) == (True, b"")
    host.open(new)
