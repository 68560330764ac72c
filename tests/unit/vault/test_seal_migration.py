"""From one seal to another and back, in a single step: killed at any moment, the old seal or the new one opens the data."""

from collections.abc import Callable

import pytest

from tests.unit.vault.fault import Killed, RefusingBroker
from tests.unit.vault.static_host import DISABLED, NEXT, NEXT_ALONE, STATIC, DyingRows, StaticHost, is_good
from vault.errors import AuditFailed, InvalidRequest
from vault.locks import MigrationRefused
from vault.settings import StaticSeal
from vault.static_lock import RECOVERY_KEY


@pytest.fixture
def host() -> StaticHost:
    """Return a host with a static seal before init."""
    return StaticHost()


# -- migration -------------------------------------------------------------------------------------------------------------


def test_static_seal_without_its_key_does_not_start(host: StaticHost) -> None:
    """Nothing in the configuration could ever open it."""
    host.recover()
    with pytest.raises(MigrationRefused, match='cannot seal migrate from "static" to Shamir, no disabled seal in configuration'):
        host.restart(None).first.seal.locks.check_start(host.first.store.read())
    for static in (STATIC, DISABLED):
        host.restart(static).first.seal.locks.check_start(host.first.store.read())


@pytest.mark.parametrize("static", [STATIC, None, DISABLED])
def test_migration_that_is_not_due_is_refused(static: StaticSeal | None) -> None:
    """Open or sealed, the flag is an error where there is nothing to migrate."""
    host = StaticHost(static)
    made = host.recover() if static is STATIC else host.init()
    keys = made.get("recovery_keys") or made["keys"]
    with pytest.raises(MigrationRefused, match="can't perform a seal migration, no migration seal found"):
        host.migrate(keys[:1])
    assert host.status()["progress"] == 0


def shamir() -> tuple[StaticHost, StaticSeal, StaticSeal | None, list[str]]:
    """Return a host that is to go from Shamir to static: it, the new configuration, the old one, and the shares."""
    host = StaticHost(None)
    return host, STATIC, None, host.init()["keys"]


def static() -> tuple[StaticHost, StaticSeal, StaticSeal | None, list[str]]:
    """Return the same for the way back."""
    host = StaticHost(STATIC)
    return host, DISABLED, STATIC, host.recover()["recovery_keys"]


Start = Callable[[], tuple[StaticHost, StaticSeal, StaticSeal | None, list[str]]]
BOTH_WAYS = pytest.mark.parametrize("start", [shamir, static])


@BOTH_WAYS
def test_pending_migration_waits_for_shares_with_the_flag(start: Start) -> None:
    """Without it they are refused, uncounted; a wrong set and a reset start again; nothing has changed until the last share."""
    host, new, old, keys = start()
    before = dict(host.rows.rows)
    late = host.restart(new)
    status = late.status()
    assert (status["migration"], status["sealed"], status["t"], status["n"]) == (True, True, 3, 5)
    assert status["type"] == ("static" if new is STATIC else "shamir")
    with pytest.raises(MigrationRefused, match="migrate option not provided and seal migration is pending"):
        late.give(keys[0])
    assert late.migrate(keys[:1])["progress"] == 1
    with pytest.raises(MigrationRefused):
        late.give(keys[1])
    assert late.status()["progress"] == 1
    late.write("sys/unseal", token=None, reset=True)
    with pytest.raises(InvalidRequest):
        late.migrate([keys[0], keys[1], "07" * 33])
    assert (late.status()["progress"], late.status()["sealed"], late.status()["migration"]) == (0, True, True)
    assert dict(host.rows.rows) == before
    assert is_good(host.restart(old), keys)


@BOTH_WAYS
def test_migration_keeps_the_shares_and_the_data(start: Start) -> None:
    """The same shares unseal or prove afterwards; there is nothing left to migrate, and the old configuration opens nothing."""
    host, new, old, keys = start()
    late = host.restart(new)
    workers = [late.worker() for _ in range(3)]
    done = [late.migrate([key], worker) for key, worker in zip(keys[:3], workers, strict=True)][-1]
    assert (done["sealed"], done["migration"], done["type"]) == (False, False, "static" if new is STATIC else "shamir")
    assert all(late.is_serving(worker) for worker in (*workers, late.first))
    again = host.restart(new)
    assert again.status()["migration"] is False
    assert again.status()["sealed"] is (new is DISABLED)
    assert is_good(again, keys)
    again.write("sys/seal")
    assert is_good(again, keys)
    assert (RECOVERY_KEY in host.rows.rows) is (new is STATIC)
    back = host.restart(old)
    assert not back.is_serving()
    assert back.status()["migration"] is True


def test_seal_can_be_left_and_taken_again() -> None:
    """Both ways, many times, with the shares of the first day."""
    host = StaticHost(None)
    keys = host.init()["keys"]
    for turn in range(4):
        late = host.restart(STATIC if turn % 2 == 0 else DISABLED)
        late.migrate(keys[turn % 3 : turn % 3 + 3])
        assert late.is_serving()
    assert is_good(host.restart(None), keys)


@BOTH_WAYS
def test_migration_that_is_not_on_record_did_not_happen(start: Start) -> None:
    """Nothing is stored, the host stays sealed, and the next attempt works."""
    host, new, _, keys = start()
    late = host.restart(new)
    before = dict(host.rows.rows)
    late.migrate(keys[:2], late.worker())
    object.__setattr__(late.first.core, "audit", RefusingBroker("response"))
    with pytest.raises(AuditFailed):
        late.migrate(keys[2:3])
    assert dict(host.rows.rows) == before
    assert late.page.read_seal().sealed
    assert late.page.read_seal().root_key == b""
    assert late.migrate(keys[:3], late.worker())["sealed"] is False


@pytest.mark.parametrize("step", ["before", "prepared", "committed"])
@BOTH_WAYS
def test_migration_killed_at_any_step_leaves_the_old_seal_or_the_new_one(start: Start, step: str) -> None:
    """Never neither: one of the two configurations opens it, and if it is the old one the migration is still to be done."""
    host, new, old, keys = start()
    rows = DyingRows()
    rows._rows = host.rows._rows
    late = StaticHost(new, rows)
    late.migrate(keys[:2])
    rows.step = step
    with pytest.raises(Killed):
        late.migrate(keys[2:3])
    after = StaticHost(new, rows)
    assert after.status()["migration"] is (step != "committed")
    if step == "committed":
        assert is_good(after, keys)
    else:
        assert is_good(StaticHost(old, rows), keys)
        assert after.migrate(keys[:3])["sealed"] is False
        assert is_good(StaticHost(new, rows), keys)


@pytest.mark.parametrize("step", ["before", "prepared", "committed"])
def test_change_of_the_key_killed_at_any_step_is_done_by_the_next_start(host: StaticHost, step: str) -> None:
    """The previous key is there until nothing needs it."""
    host.recover()
    rows = DyingRows()
    rows._rows = host.rows._rows
    rows.step = step
    with pytest.raises(Killed):
        StaticHost(NEXT, rows)
    assert StaticHost(NEXT, rows).is_serving()
    assert StaticHost(NEXT_ALONE, rows).is_serving()


def test_two_hosts_that_migrate_at_once_agree() -> None:
    """Both are open, and one change was made."""
    host = StaticHost(None)
    keys = host.init()["keys"]
    first, second = host.restart(STATIC), host.restart(STATIC)
    for each in (first, second):
        each.migrate(keys[:2])
    first.migrate(keys[2:3])
    second.hear()
    with pytest.raises(MigrationRefused):
        second.migrate(keys[2:3])
    second.first.seal.open_alone()
    assert first.is_serving()
    assert second.is_serving()
