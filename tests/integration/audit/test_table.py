"""The device that adds records to a table, on a real PostgreSQL: what becomes of the chain, and what of a database that hangs."""

import os
import select
import signal
import socket
import threading
import time
from pathlib import Path

import orjson
import psycopg
import pytest

from tests.integration.audit.table import Connection, check_log, list_lines, list_logs, make_chain
from tests.unit.vault.audit.world import Page, body, now
from vault.audit.chain import GENESIS, Chain, parse_line
from vault.audit.devices.postgres import TableSink
from vault.errors import AuditFailed
from vault.host import AUDIT_LOCK, HostPage
from vault.storage.audit_rows import AuditRows
from vault.storage.embedded import Embedded

WRITER_SECONDS_MAX = 20.0

# -- the chain -------------------------------------------------------------------------------------------------------------------


def test_records_are_those_of_a_file(server: Embedded, application: Connection, device: str, tmp_path: Path) -> None:
    """Two workers write one chain, whose lines verify as a file's; its first record says whose log it is."""
    page = Page()
    chains = [make_chain(server, device, page) for _ in range(2)]
    for index in range(6):
        chains[index % 2].append(body(index))
    (log,) = list_logs(application, device)
    assert check_log(application, log, tmp_path) == 7
    first = orjson.loads(list_lines(application, log)[0])
    assert (first["type"], first["device"], first["host"]) == ("begin", device, socket.gethostname())
    assert "before" not in first


def test_next_start_names_the_log_before(server: Embedded, application: Connection, device: str, tmp_path: Path) -> None:
    """Each start has a log of its own, and a tail that is cut off is told by the log after it. Two hosts have two logs."""
    first, second = make_chain(server, device, Page()), make_chain(server, device, Page())
    first.append(body(0))
    second.append(body(1))
    first.append(body(2))
    make_chain(server, device, Page()).append(body(3))
    logs = list_logs(application, device)
    assert [check_log(application, log, tmp_path) for log in logs] == [3, 2, 2]
    for before, log, count in ((logs[0], logs[1], 2), (logs[1], logs[2], 2)):
        named = orjson.loads(list_lines(application, log)[0])["before"]
        assert named == {"log": before, "seq": count, "hash": orjson.loads(list_lines(application, before)[count - 1])["hash"]}


def test_damaged_log_before_does_not_stop_a_start(server: Embedded, owner: Connection, device: str) -> None:
    """A last record that somebody has changed is named as damaged, and the server goes on."""
    owner.execute("INSERT INTO vault.audit_log VALUES (%s, %s, %s, now())", ("f" * 32, socket.gethostname(), device))
    owner.execute("INSERT INTO vault.audit_record VALUES (%s, 1, now(), 'nonsense')", ("f" * 32,))
    make_chain(server, device, Page()).append(body(0))
    assert orjson.loads(list_lines(owner, list_logs(owner, device)[1])[0])["before"]["damaged"] is True


def test_record_that_its_writer_did_not_note_is_taken_over(server: Embedded, application: Connection, device: str, tmp_path: Path) -> None:
    """A process killed after its commit and before its note leaves a record that the chain goes on from."""
    page = Page()
    chain = make_chain(server, device, page)
    chain.append(body(0))
    before = bytes(page.areas[0])
    chain.append(body(1))
    page.areas[0][:] = before
    with pytest.raises(AuditFailed):  # the table tells that this number is taken: nothing is added twice
        chain.append(body(2))
    chain.append(body(3))
    (log,) = list_logs(application, device)
    assert check_log(application, log, tmp_path) == 4
    ids = [orjson.loads(line).get("request", {}).get("id") for line in list_lines(application, log)]
    assert ids == [None, "id-0", "id-1", "id-3"]


def test_rows_that_vanished_are_named_by_a_new_log(server: Embedded, owner: Connection, device: str) -> None:
    """The table went back, as by a restored backup: one request is refused, and the next log names the record that is gone."""
    chain = make_chain(server, device, Page())
    for index in range(3):
        chain.append(body(index))
    (log,) = list_logs(owner, device)
    lost = parse_line(list_lines(owner, log)[-1])[1]
    partition = owner.execute("SELECT tableoid::regclass::text FROM vault.audit_record WHERE log = %s LIMIT 1", (log,)).fetchone()
    assert partition is not None
    owner.execute(f"ALTER TABLE {partition[0]} DISABLE TRIGGER ALL")
    owner.execute(f"DELETE FROM {partition[0]} WHERE log = '{log}' AND seq > 2")  # noqa: S608 - names of the catalogue
    owner.execute(f"ALTER TABLE {partition[0]} ENABLE TRIGGER ALL")
    with pytest.raises(AuditFailed):
        chain.append(body(3))
    chain.append(body(4))
    (_, after) = list_logs(owner, device)
    assert orjson.loads(list_lines(owner, after)[0])["before"] == {"log": log, "seq": 4, "hash": lost["hash"]}


def test_missing_partition_is_made(server: Embedded, owner: Connection, device: str) -> None:
    """Where nobody made the month's partition ahead, the first record does."""
    for row in owner.execute("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'").fetchall():
        owner.execute(f"ALTER TABLE vault.audit_record DETACH PARTITION vault.{row[0]}")
        owner.execute(f"DROP TABLE vault.{row[0]}")
    chain = make_chain(server, device, Page())
    chain.append(body(0))
    assert len(list_lines(owner, list_logs(owner, device)[0])) == 2


def test_killed_writers_leave_no_gap(server: Embedded, application: Connection, device: str, tmp_path: Path) -> None:
    """Two processes write while one after the other is killed: every acknowledged record is there, once, in one chain."""
    page = HostPage()
    told: set[int] = set()
    for turn in range(6):
        reading, writing = os.pipe()
        pids = [_fork_writer(page, server.application_dsn, device, writing, 10_000 * (turn + 1) + 1_000 * number) for number in range(2)]
        os.close(writing)
        select.select([reading], [], [], WRITER_SECONDS_MAX)  # the first record is acknowledged
        time.sleep(0.3)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        with os.fdopen(reading, "rb") as source:
            told |= {int(line) for line in source.read().split(b"\n")[:-1] if line}
    logs = list_logs(application, device)
    written = [orjson.loads(line).get("request", {}).get("id") for log in logs for line in list_lines(application, log)]
    assert sum(check_log(application, log, tmp_path) for log in logs) == len(written)
    assert len(told) > 20
    assert {f"id-{number}" for number in told} <= set(written)
    ids = [name for name in written if name]
    assert len(ids) == len(set(ids))
    assert len(logs) == 1


def _fork_writer(page: HostPage, dsn: str, device: str, told: int, first: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        chain = Chain(TableSink(AuditRows(dsn), device, now), page.audit_area(0), lambda: page.place_lock(AUDIT_LOCK), now)
        for number in range(first, first + 1_000):
            try:
                chain.append(body(number))
                os.write(told, b"%d\n" % number)
            except AuditFailed:
                continue
        time.sleep(30)
    finally:
        os._exit(0)


# -- when the database hangs -----------------------------------------------------------------------------------------------------


def test_locked_table_refuses_all_within_five_seconds(server: Embedded, device: str) -> None:
    """Eight threads of two workers and a table that somebody has locked: none waits for the waits of the others; free again, it goes on."""
    page = Page()
    chains = [make_chain(server, device, page) for _ in range(2)]
    for chain in chains:
        chain.append(body(0))
    waits: list[float] = []

    def write(chain: Chain) -> None:
        begun = time.monotonic()
        with pytest.raises(AuditFailed):
            chain.append(body(1))
        waits.append(time.monotonic() - begun)

    with psycopg.connect(server.dsn) as blocker:
        blocker.execute("LOCK TABLE vault.audit_record IN ACCESS EXCLUSIVE MODE")
        threads = [threading.Thread(target=write, args=(chains[index % 2],)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(waits) == 8
        assert max(waits) < 5
        write(chains[0])
        assert waits[-1] < 1  # known to hang: refused at once
        blocker.rollback()
    deadline = time.monotonic() + 10
    while True:
        try:
            chains[1].append(body(2))
            break
        except AuditFailed:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_black_hole_counts_as_hanging(device: str) -> None:
    """A host that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = TableSink(AuditRows(f"postgresql://x@127.0.0.1:{silent.getsockname()[1]}/x"), device, now)
        begun = time.monotonic()
        with pytest.raises(AuditFailed) as refused:
            Page().chain(sink).append(body(0))
        assert isinstance(refused.value.__cause__, TimeoutError)
        assert time.monotonic() - begun < 5


def test_second_address_is_no_second_wait(device: str) -> None:
    """A name with several addresses, such as localhost, is not tried for two seconds each."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        sink = TableSink(AuditRows(f"postgresql://x@127.0.0.1:{port},127.0.0.1:{port},127.0.0.1:{port}/x"), device, now)
        begun = time.monotonic()
        with pytest.raises(AuditFailed) as refused:
            Page().chain(sink).append(body(0))
        assert isinstance(refused.value.__cause__, TimeoutError)
        assert time.monotonic() - begun < 3.5


def test_nobody_there_is_refused_at_once(device: str) -> None:
    """A database that is down does not hang, and is asked again by the next record."""
    sink = TableSink(AuditRows("postgresql://x@127.0.0.1:1/x"), device, now)
    chain = Page().chain(sink)
    for _ in range(2):
        with pytest.raises(AuditFailed) as refused:
            chain.append(body(0))
        assert not isinstance(refused.value.__cause__, TimeoutError)


def test_first_record_begins_at_genesis(server: Embedded, application: Connection, device: str) -> None:
    """A log in the table begins as one in a file does."""
    make_chain(server, device, Page()).append(body(0))
    first = orjson.loads(list_lines(application, list_logs(application, device)[0])[0])
    assert (first["seq"], first["prev"]) == (1, GENESIS)
