"""What one worker acknowledged is what every other reads next: on one host at once, on other hosts by notice."""

import os
import re
import signal
import time
from collections.abc import Callable

import psycopg
import pytest

from tests.integration.storage.worker import Signal, Worker, await_true, fork, join
from vault import limits
from vault.host import HostPage
from vault.storage import change_statement, statement
from vault.storage.cache import slot_of
from vault.storage.coherence import FRESH_SECONDS
from vault.storage.embedded import Embedded
from vault.storage.keyring import Keyring
from vault.storage.physical import Change
from vault.storage.postgres import Postgres

ROUNDS = 300
Start = Callable[..., Worker]


def test_two_processes_read_each_others_writes(dsn: str, page: HostPage, keyring: Keyring) -> None:
    """Two processes take turns: each reads what the other has just written, deleted and listed, from a warm cache."""
    turns = (Signal(), Signal())

    def play(me: int) -> None:
        worker = Worker(dsn, page, keyring)
        for number in range(ROUNDS):
            if number % 2 == me:
                if number % 10 < 8:
                    worker.put("f/a", b"%d" % number)
                else:
                    worker.store.run(lambda transaction: transaction.delete("f/a"))
                turns[1 - me].send()
            else:
                turns[me].wait()
                expected = b"%d" % number if number % 10 < 8 else None
                assert worker.read("f/a") == expected
                assert worker.store.list_children("f/", "", None) == (() if expected is None else ("a",))
        worker.stop()

    join(*(fork(lambda me=me: play(me)) for me in range(2)))  # type: ignore[misc]  # mypy gives up on a default argument


def test_other_host_hears_of_writes(start: Start) -> None:
    """A listener moves the counters of its host for what another host wrote, rows, listings and emptied folders."""
    here, there = start(listening=True), start(HostPage(), listening=True)
    await_true(lambda: here.is_cached and there.is_cached, "both hosts are known")
    for number in range(20):
        writer, reader = (here, there) if number % 2 else (there, here)
        writer.put("f/a", b"%d" % number)
        writer.put(f"f/{number}/x", b"v")
        await_true(lambda: reader.read("f/a") == b"%d" % number, "the row is read by the other host")  # noqa: B023 - called at once
        await_true(lambda: f"{number}/" in reader.store.list_children("f/", "", None), "the listing is renewed")  # noqa: B023 - as above
    assert there.read("f/19/x") == b"v"
    here.store.run(lambda transaction: transaction.delete_prefix("f/"))
    await_true(lambda: there.read("f/19/x") is None and there.store.list_children("f/", "", None) == (), "the folder is empty")


def test_writes_between_reads_of_notices_are_not_missed(start: Start) -> None:
    """A notice that arrives while the listener does something else is heard, too: after a burst every counter has moved."""
    here, there = start(listening=True), start(HostPage(), listening=True)
    await_true(lambda: here.is_cached and there.is_cached, "both hosts are known")
    before = {number: there.page.generations.read(slot_of(f"burst/{number}")) for number in range(300)}
    for number in range(300):
        here.put(f"burst/{number}", b"v")
    await_true(lambda: all(there.page.generations.read(slot_of(f"burst/{number}")) > before[number] for number in before), "all notices")


def test_other_hosts_write_is_what_the_next_request_reads(start: Start) -> None:
    """Nobody waits for a notice: a request asks for what was acknowledged before it, and reads that."""
    here, there = start(listening=True), start(HostPage(), listening=True)
    await_true(lambda: here.is_cached and there.is_cached and here.cache.ask and there.cache.ask, "both hosts know of each other")
    for number in range(ROUNDS):
        writer, reader = (here, there) if number % 2 else (there, here)
        assert reader.read("f/a") == (b"%d" % (number - 1) if number else None)
        writer.put("f/a", b"%d" % number)
        assert reader.read("f/a") == b"%d" % number
    assert here.is_cached, "it was the cache that was right"


def test_host_that_comes_is_known_before_it_serves(start: Start) -> None:
    """A host that was alone asks as soon as another one serves; one that is alone again stops asking."""
    here = start(listening=True)
    await_true(lambda: here.is_cached, "the host is known")
    assert here.cache.ask is None
    assert here.read("f/a") is None
    there = start(HostPage(), listening=True)
    there.listener.await_announced()
    there.put("f/a", b"v")
    assert here.read("f/a") == b"v"


def test_every_worker_of_a_host_that_comes_waits(dsn: str, start: Start) -> None:
    """The second worker finds its host registered by the first a moment ago: it serves no sooner for that."""
    here, page = start(listening=True), HostPage()
    await_true(lambda: here.is_cached, "the host is known")
    assert here.read("f/a") is None
    start(page, listening=True)
    with psycopg.connect(dsn, autocommit=True) as connection:
        find = "SELECT FROM vault.host WHERE id = %s"
        await_true(lambda: connection.execute(find, (page.host_id,)).fetchone() is not None, "the first worker has made it known")
    known_at = time.monotonic()
    second = start(page, listening=True)
    second.listener.await_announced()
    assert time.monotonic() - known_at > FRESH_SECONDS / 2
    second.put("f/a", b"v")
    assert here.read("f/a") == b"v"


def test_host_that_is_gone_is_forgotten(dsn: str, start: Start) -> None:
    """A host alone asks nothing, also after another one was there."""
    here = start(listening=True)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO vault.host (id, seen_at) VALUES ('other', clock_timestamp())")
        await_true(lambda: here.cache.ask is not None, "the other is known")
        connection.execute("UPDATE vault.host SET seen_at = clock_timestamp() - interval '21 seconds' WHERE id = 'other'")
        await_true(lambda: here.cache.ask is None, "nobody else is there")


def test_paused_host_is_not_believed_by_its_own_clock(dsn: str, start: Start) -> None:
    """A host that was overlooked, and whose clock stood still meanwhile, learns it from PostgreSQL with its next request."""
    worker = start(listening=True)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO vault.host (id, seen_at) VALUES ('other', clock_timestamp())")
        await_true(lambda: worker.is_cached and worker.cache.ask, "the other is known")
        worker.cache.fresh_until = float("inf")
        connection.execute("DELETE FROM vault.host WHERE id <> 'other'")
        worker.cache.catch_up()
        assert not worker.is_cached


def test_lone_host_sends_no_notice(dsn: str, start: Start) -> None:
    """NOTIFY makes commits wait for each other: a host that is alone sends none."""
    worker = start(listening=True)
    await_true(lambda: worker.is_cached, "the host is known")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.LISTEN)
        worker.put("a", b"v")
        assert list(connection.notifies(timeout=0.3)) == []
        connection.execute("INSERT INTO vault.host (id, seen_at) VALUES ('other', clock_timestamp())")
        worker.put("a", b"v")
        assert [notice.payload.split()[0] for notice in connection.notifies(timeout=5, stop_after=1)] == [worker.page.host_id]


def test_host_waits_for_writers_that_may_have_overlooked_it(dsn: str, start: Start) -> None:
    """A cache is not used while a transaction is open that began before its host was known."""
    other = Postgres(dsn, 2, "other")
    other.open()
    prepared = other.prepare(77, [Change(path="a", value=b"v")], [])
    worker = start(listening=True)
    with psycopg.connect(dsn, autocommit=True) as connection:
        await_true(lambda: connection.execute("SELECT FROM vault.host").fetchone() is not None, "the host makes itself known")
    assert not worker.is_cached
    prepared.commit()
    await_true(lambda: worker.is_cached, "the writer has ended")
    other.close()


def test_boundary_is_drawn_after_the_host_is_visible(dsn: str) -> None:
    """A writer with a higher number than the registration may have overlooked it, too: it is below the boundary."""
    writer = Postgres(dsn, 2, "writer")
    writer.open()
    with (
        psycopg.connect(dsn, cursor_factory=psycopg.RawCursor) as registering,
        psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.RawCursor) as asking,
    ):
        registering.execute(statement.REGISTER.sql, ("new",))
        prepared = writer.prepare(78, [Change(path="a", value=b"v")], [])  # a higher number, and the host is not visible yet
        registering.commit()
        boundary = asking.execute(statement.BOUNDARY.sql).fetchone()
        assert asking.execute(statement.OUTLIVES.sql, boundary).fetchone() == (False,)
        prepared.commit()
        assert asking.execute(statement.OUTLIVES.sql, boundary).fetchone() == (True,)
    writer.close()


@pytest.mark.parametrize("damage", ["DELETE FROM vault.host", "UPDATE vault.host SET seen_at = clock_timestamp() - interval '8 seconds'"])
def test_forgotten_host_makes_itself_known_again(dsn: str, start: Start, damage: str) -> None:
    """A host that was silent for too long does not trust what it has cached: it registers, and reads everything anew."""
    worker = start(listening=True)
    await_true(lambda: worker.is_cached, "the host is known")
    before = worker.page.generations.read(12345)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(damage.encode())
        await_true(lambda: worker.page.generations.read(12345) > before, "all counters move")
        row = connection.execute("SELECT seen_at > clock_timestamp() - interval '5 seconds' FROM vault.host").fetchone()
    assert row == (True,)


def test_worker_without_listener_bypasses_its_cache(server: Embedded, start: Start) -> None:
    """When the listener gets no answer, the cache is bypassed; when it has a connection again, everything is read anew."""
    worker = start(listening=True)
    await_true(lambda: worker.is_cached, "the host is known")
    before = worker.page.generations.read(12345)
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        listening = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%WITH beat%' AND pid <> pg_backend_pid()"
        await_true(lambda: connection.execute(listening).fetchone(), "the listener has given a sign of life")
        row = connection.execute(listening).fetchone()
        assert row is not None
        os.kill(row[0], signal.SIGSTOP)
        try:
            await_true(lambda: not worker.is_cached, "the cache is bypassed")
        finally:
            connection.execute("SELECT pg_terminate_backend(%s)", row)
            os.kill(row[0], signal.SIGCONT)
    await_true(lambda: worker.page.generations.read(12345) > before, "the listener is back, and trusts nothing from before")
    await_true(lambda: worker.is_cached, "the cache is used again")


def test_cache_is_out_of_use_before_writers_overlook_its_host() -> None:
    """The times fit: as long as a heartbeat counts and a cache is used after it, writers tell the host."""
    texts = change_statement.TELL.sql, statement.HEARTBEAT.sql
    told, (*beating, others, _) = (re.findall(r"- interval '(\d+) seconds'", text) for text in texts)
    assert max(map(int, beating)) + FRESH_SECONDS < int(*told)
    assert int(others) > int(*told) + limits.STORAGE_TIMEOUT_SECONDS, "a host that may still commit is not taken for gone"
