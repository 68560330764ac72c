"""Real sockets, and receivers that vanish, hang or come back."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.vault.audit.world import Page, body
from vault.audit.chain import Chain, parse_line
from vault.audit.devices.socket import Destination, SocketSink
from vault.audit.devices.syslog import make_syslog
from vault.errors import AuditFailed

SECONDS = 0.3


def chain_to(page: Page, kind: str, address: str, seconds: float = SECONDS) -> Chain:
    """Return the chain of one worker."""
    return page.chain(SocketSink(Destination(socket_type=kind, address=address), seconds))


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    """Return a listening TCP socket."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(10)
        yield made


def address_of(receiver: socket.socket) -> str:
    """Return where it listens."""
    return "{}:{}".format(*receiver.getsockname()[:2])


def append_soon(chain: Chain, index: int) -> int:
    """Append until it is accepted; return how often it was refused."""
    for refused in range(50):
        try:
            chain.append(body(index))
        except AuditFailed:
            time.sleep(0.02)
        else:
            return refused
    pytest.fail("it never came back")


def test_receiver_that_is_not_there_refuses(receiver: socket.socket) -> None:
    """Nobody listens: refused at once; as soon as somebody does, it goes on without a restart and without a gap."""
    address = receiver.getsockname()
    chain = chain_to(Page(), "tcp", address_of(receiver))
    receiver.close()
    for _ in range(2):
        with pytest.raises(AuditFailed):
            chain.append(body(0))
    with socket.create_server(address, reuse_port=False) as again:
        append_soon(chain, 1)
        connection, _ = again.accept()
        with connection:
            assert parse_line(connection.recv(65536)[:-1])[1]["seq"] == 1


def test_receiver_that_closes_is_noticed_before_the_next_record(receiver: socket.socket) -> None:
    """No record is lost to a connection whose other end is gone: a new one is made."""
    chain = chain_to(Page(), "tcp", address_of(receiver))
    chain.append(body(0))
    first, _ = receiver.accept()
    with first:
        assert parse_line(first.recv(65536)[:-1])[1]["seq"] == 1
    time.sleep(0.05)
    chain.append(body(1))
    second, _ = receiver.accept()
    with second:
        assert parse_line(second.recv(65536)[:-1])[1]["seq"] == 2


def test_receiver_that_does_not_read_counts_as_hanging(receiver: socket.socket) -> None:
    """Full buffers refuse after one wait, then at once, whoever asks; half a record ends with its connection."""
    page = Page()
    chain, other = chain_to(page, "tcp", address_of(receiver)), chain_to(page, "tcp", address_of(receiver))
    chain.append(body(0))
    connection, _ = receiver.accept()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    large = body(1)[:-1] + b',"x":"' + b"y" * 8_000_000 + b'"}'
    with pytest.raises(AuditFailed) as refused:
        chain.append(large)
    assert isinstance(refused.value.__cause__, TimeoutError)
    begun = time.monotonic()
    with pytest.raises(AuditFailed):
        other.append(large)
    assert time.monotonic() - begun < 5
    drained = threading.Thread(target=_drain, args=(receiver,), daemon=True)
    drained.start()
    append_soon(other, 2)
    connection.close()
    receiver.shutdown(socket.SHUT_RDWR)  # wakes whoever accepts
    drained.join(10)


def test_receiver_that_acknowledges_nothing_counts_as_hanging() -> None:
    """That the kernel here has room for more says nothing: what was sent before must arrive."""
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        slow.bind(("127.0.0.1", 0))
        slow.listen()
        chain = chain_to(Page(), "tcp", address_of(slow))
        for index in range(60):
            try:
                chain.append(body(index))
            except AuditFailed:
                return
            time.sleep(0.05)
        pytest.fail("records pile up unread")


def _drain(receiver: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = receiver.accept()
            threading.Thread(target=_read_all, args=(connection,), daemon=True).start()


def _read_all(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        while connection.recv(65536):
            pass


def test_unreachable_host_is_refused_within_its_time() -> None:
    """A connection that nobody answers (the queue of a listener that accepts nobody is full) hangs no longer than allowed."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            chain = chain_to(Page(), "tcp", address_of(full))
            begun = time.monotonic()
            for _ in range(3):
                with pytest.raises(AuditFailed) as refused:
                    chain.append(body(0))
                assert isinstance(refused.value.__cause__, TimeoutError)
            assert time.monotonic() - begun < 3 * SECONDS + 1
        finally:
            for one in waiting:
                one.close()


def test_name_that_nobody_knows_is_refused() -> None:
    """A host without an address takes no record, and the resolver's own patience does not count."""
    begun = time.monotonic()
    with pytest.raises(AuditFailed):
        chain_to(Page(), "tcp", "no-such-host.invalid:80").append(body(0))
    assert time.monotonic() - begun < 5


def test_datagrams_are_records(tmp_path: Path) -> None:
    """UDP and UNIX datagrams carry one record each; one that is too long is refused, and the next goes on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix:
        udp.bind(("127.0.0.1", 0))
        unix.bind(str(tmp_path / "s"))
        for kind, receiver, address in (("udp", udp, address_of(udp)), ("unixgram", unix, str(tmp_path / "s"))):
            receiver.settimeout(5)
            chain = chain_to(Page(), kind, address)
            chain.append(body(0))
            with pytest.raises(AuditFailed):
                chain.append(body(1)[:-1] + b',"x":"' + b"y" * 8_000_000 + b'"}')
            chain.append(body(2))
            records = [parse_line(receiver.recv(65536)[:-1])[1] for _ in range(2)]
            assert [record["seq"] for record in records] == [1, 2]
            assert records[1]["prev"] == records[0]["hash"]


def test_unix_stream_is_a_stream(tmp_path: Path) -> None:
    """A UNIX socket takes lines, and is refused while it is not there."""
    chain = chain_to(Page(), "unix", str(tmp_path / "s"))
    with pytest.raises(AuditFailed):
        chain.append(body(0))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as receiver:
        receiver.bind(str(tmp_path / "s"))
        receiver.listen()
        append_soon(chain, 1)
        connection, _ = receiver.accept()
        with connection:
            assert parse_line(connection.recv(65536)[:-1])[1]["seq"] == 1


# -- syslog ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Iterator[socket.socket]:
    """Return what stands for /dev/log."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "log"))
        made.settimeout(5)
        yield made


def syslog_chain(kind: str, address: str) -> Chain:
    """Return a chain on syslog."""
    return Page().chain(make_syslog("LOCAL3", "vault-test", Destination(socket_type=kind, address=address), SECONDS))


def test_stopped_syslog_refuses_after_one_wait(log: socket.socket) -> None:
    """Its queue is full: refused after one wait, then at once, until it reads again."""
    chain = syslog_chain("unixgram", log.getsockname())
    begun, accepted = time.monotonic(), 0
    for index in range(5000):
        try:
            chain.append(body(index))
        except AuditFailed:
            break
        accepted += 1
    for index in range(5):
        with pytest.raises(AuditFailed):
            chain.append(body(index))
    assert time.monotonic() - begun < 5
    for _ in range(accepted):
        log.recv(65536)
    append_soon(chain, 0)


def test_local_message_has_priority_and_tag(log: socket.socket) -> None:
    """LOCAL3.INFO is 158."""
    syslog_chain("unixgram", log.getsockname()).append(body(0))
    message = log.recv(65536)
    head, _, line = message.partition(b": ")
    assert head.startswith(b"<158>vault-test[")
    assert parse_line(line)[1]["seq"] == 1


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_remote_message_is_of_rfc_5424(kind: str, receiver: socket.socket) -> None:
    """Version, time, host, tag, process; over TCP with its length before it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(5)
        if kind == "udp":
            syslog_chain("udp", address_of(udp)).append(body(0))
            message = udp.recv(65536)
        else:
            syslog_chain("tcp", address_of(receiver)).append(body(0))
            connection, _ = receiver.accept()
            with connection:
                length, _, message = connection.recv(65536).partition(b" ")
                assert int(length) == len(message)
    fields = message.split(b" ", 7)
    assert fields[0] == b"<158>1"
    assert fields[1] == b"2026-01-02T03:04:05.000000Z"
    assert fields[3] == b"vault-test"
    assert parse_line(fields[7])[1]["seq"] == 1
