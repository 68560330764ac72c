"""A full disk takes the records of sealing and unsealing, and no others."""

import threading
import time
from pathlib import Path

import pytest

from tests.unit.vault.audit.world import Page, body, read_records
from vault.audit.chain import Chain
from vault.audit.devices.file import FileSink
from vault.audit.devices.reserve import Reserve, reserve_path
from vault.audit.verify import verify
from vault.errors import AuditFailed

_RESERVE_BYTES = 128 * 1024  # 32 blocks: of a file system with small ones, two for each record


def _make_chain(page: Page, log: Path) -> Chain:
    return page.chain(FileSink(log), reserve=Reserve(log, _RESERVE_BYTES))


def _fill(chain: Chain) -> int:
    for index in range(2000):
        try:
            chain.append(body(index))
        except AuditFailed:
            return index
    pytest.fail("the disk never filled")


def test_vital_records_fit_where_others_do_not(disk: Path) -> None:
    """On a full disk sixteen vital records of two workers are taken, each beside another that is refused; the log is whole."""
    page, log = Page(), disk / "audit.log"
    chains = [_make_chain(page, log) for _ in range(2)]
    chains[1].append(body(0))
    accepted = 1 + _fill(chains[0])
    for index in range(16):
        chains[index % 2].append(body(index), vital=True)
        _fill(chains[1 - index % 2])  # what is left of the block goes to others, no more than that
        with pytest.raises(AuditFailed):
            chains[index % 2].append(body(index))
    assert verify([log]).ok
    assert len(read_records(log)) >= accepted + 16


def test_used_up_reserve_refuses(disk: Path) -> None:
    """There is an end to it; then vital records are refused as others are, and nothing is left of them."""
    log = disk / "audit.log"
    chain = _make_chain(Page(), log)
    _fill(chain)
    for index in range(1000):
        try:
            chain.append(body(index), vital=True)
        except AuditFailed:
            break
    else:
        pytest.fail("the reserve never ended")
    assert reserve_path(log).stat().st_size == 0
    assert log.read_bytes().endswith(b"\n")
    assert verify([log]).ok


def test_vital_record_is_taken_out_of_a_batch_that_is_refused(disk: Path) -> None:
    """Threads whose records are written together each get the answer of their own."""
    log = disk / "audit.log"
    page = Page()
    chain = _make_chain(page, log)
    _fill(chain)
    seen: dict[int, bool] = {}

    def write(number: int) -> None:
        try:
            chain.append(body(number), vital=number % 4 == 0)
            seen[number] = True
        except AuditFailed:
            seen[number] = False

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1000, 1016)]
    page.lock(0).take(1)  # the first one waits for it, and finds the others in the queue
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    page.lock(0).release()
    for thread in threads:
        thread.join(20)
    written = {record["request"]["id"] for record in read_records(log)}
    assert all(seen[number] for number in range(1000, 1016, 4))
    assert {f"id-{number}" for number, taken in seen.items() if taken} <= written
    assert not {f"id-{number}" for number, taken in seen.items() if not taken} & written
    assert verify([log]).ok
