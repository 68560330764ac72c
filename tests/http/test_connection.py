import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.http.conftest import THREADS, WORKERS, Running, read_all, read_answer, running

GET = b"GET /v1/read HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /v1/read HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def test_connection_is_kept(server: Running) -> None:
    """Request after request goes over one connection, idle moments between them or not."""
    with server.connect() as connection:
        for pause in (0, 0, 0.1, 0, 0.1):
            time.sleep(pause)
            connection.sendall(GET)
            assert read_answer(connection).startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_are_answered_in_order(server: Running) -> None:
    """Requests sent at once are each answered, in their order."""
    reply = server.exchange(b"".join(b"GET /v1/%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(50)) + LAST)
    assert reply.statuses == [200] * 51
    paths = [part.split(b'"path":"')[1].split(b'"')[0] for part in reply.data.split(b"HTTP/1.1 ")[1:]]
    assert paths == [b"%d" % number for number in range(50)] + [b"read"]


def test_connection_ends_when_asked(server: Running) -> None:
    """Connection: close and HTTP/1.0 end it; keep-alive of HTTP/1.0 keeps it."""
    assert server.exchange(LAST + GET).statuses == [200]
    assert server.exchange(b"GET /v1/read HTTP/1.0\r\n\r\n" + GET).statuses == [200]
    with server.connect() as connection:
        connection.sendall(b"GET /v1/read HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"Connection: keep-alive" in read_answer(connection)
        connection.sendall(LAST)
        assert read_all(connection).statuses == [200]


def test_idle_connections_take_no_threads(server: Running) -> None:
    """Many times more idle connections than threads leave room for one more."""
    with ExitStack() as stack:
        idle = [stack.enter_context(server.connect()) for _ in range(20 * THREADS * WORKERS)]
        for connection in idle:
            connection.sendall(GET)
            read_answer(connection)
        assert server.exchange(LAST).statuses == [200]
        for connection in idle:
            connection.sendall(GET)
            assert read_answer(connection).startswith(b"HTTP/1.1 200 ")


def test_silent_connections_take_no_threads(server: Running) -> None:
    """Connections over which nothing ever came leave room for one more."""
    with ExitStack() as stack:
        for _ in range(10 * THREADS * WORKERS):
            stack.enter_context(server.connect())
        assert server.exchange(LAST).statuses == [200]


def test_busy_connections_share_the_threads(server: Running) -> None:
    """More busy connections than threads are served in turn: none waits until another one is done."""
    clients, requests = 4 * THREADS * WORKERS, 40

    def run(_: int) -> int:
        with server.connect() as connection:
            for _number in range(requests):
                connection.sendall(GET)
                assert read_answer(connection).startswith(b"HTTP/1.1 200 ")
        return requests

    with ThreadPoolExecutor(clients) as pool:
        assert sum(pool.map(run, range(clients))) == clients * requests


def test_greedy_connection_lets_others_through(tmp_path: Path) -> None:
    """A client that always has its next request sent already does not keep the only thread."""
    stop = threading.Event()

    def flood(greedy: socket.socket) -> None:
        while not stop.is_set():
            greedy.sendall(GET * 20)

    def drain(greedy: socket.socket) -> None:
        with suppress(OSError):
            while greedy.recv(65_536):
                pass

    with running(tmp_path, workers=1, threads=1) as server, server.connect() as greedy:
        threads = [threading.Thread(target=work, args=(greedy,)) for work in (flood, drain)]
        for thread in threads:
            thread.start()
        try:
            assert [server.exchange(LAST).statuses for _ in range(3)] == [[200]] * 3
        finally:
            stop.set()
            threads[0].join()
            greedy.shutdown(socket.SHUT_RDWR)
            threads[1].join()


def test_connections_are_spread_over_the_workers(server: Running) -> None:
    """No worker idles while another one has all connections of a client."""
    with ExitStack() as stack:
        counts: dict[bytes, int] = {}
        connections = [stack.enter_context(server.connect()) for _ in range(8 * WORKERS)]
        for connection in connections:
            connection.sendall(GET)
            pid = read_answer(connection).split(b'"pid":')[1].split(b",")[0]
            counts[pid] = counts.get(pid, 0) + 1
    assert len(counts) == WORKERS
    assert max(counts.values()) - min(counts.values()) <= 4


def test_large_answer_arrives_whole(server: Running) -> None:
    """An answer larger than any socket buffer is sent to its end."""
    reply = server.exchange(b"GET /v1/big/8000000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert reply.data.count(b"~") == 8_000_000


@pytest.mark.parametrize("line", [b"POST /v1/a//b HTTP/1.1", b"POST /v1/a HTTP/9.9"])
def test_refusal_arrives_while_the_client_still_sends(server: Running, line: bytes) -> None:
    """A client sees why it was refused although not everything that it sent was read."""
    with server.connect() as connection:
        connection.sendall(line + b"\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 8_000_000)
        reply = read_all(connection)
    assert reply.statuses == [400]


def test_what_waits_for_an_answer_to_leave_is_done_before_the_next_request(server: Running) -> None:
    """Once for each answer that was sent, and before anything else on its connection."""
    before = len(server.seen())
    reply = server.exchange(b"".join(b"GET /v1/sent/%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(3)) + LAST)
    assert reply.statuses == [200] * 4
    noted = [text for text in server.seen()[before:] if "sent/" in text]
    assert noted == [text for number in range(3) for text in (f"handle read sent/{number}", f"sent sent/{number}")]
