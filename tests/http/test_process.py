import os
import signal
import socket
import threading
import time
from pathlib import Path

from tests.http.conftest import WORKERS, Running, await_true, read_all, read_answer

GET = b"GET /v1/read HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SLOW = b"GET /v1/slow/700 HTTP/1.1\r\nHost: a\r\n\r\n"


def _await_line(server: Running, text: str) -> None:
    await_true(lambda: any(text in line for line in server.seen()))


def test_killed_worker_is_replaced_and_reported(own_server: Running) -> None:
    """A worker that dies is replaced, and the service hears of it."""
    before = own_server.workers()
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    _await_line(own_server, "died")
    await_true(lambda: len(own_server.workers()) == WORKERS and victim not in own_server.workers())
    assert own_server.exchange(GET).statuses == [200]


def test_workers_end_when_the_arbiter_is_killed(own_server: Running) -> None:
    """Nobody serves without an arbiter, and the port becomes free, idle connections or not."""
    workers = own_server.workers()
    with own_server.connect() as idle:
        idle.sendall(b"GET /v1/read HTTP/1.1\r\nHost: a\r\n\r\n")
        read_answer(idle)
        own_server.process.kill()
        own_server.process.wait()
        await_true(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", own_server.port))


def test_stop_lets_running_requests_finish(own_server: Running) -> None:
    """A request that was taken is answered, and then its connection ends."""
    with own_server.connect() as connection:
        connection.sendall(SLOW)
        _await_line(own_server, "handle read slow")
        own_server.process.terminate()
        assert read_all(connection).statuses == [200]
    assert own_server.process.wait(20) == 0
    assert sum(line.startswith("stop") for line in own_server.seen()) == WORKERS


def test_idle_connection_is_answered_once_more_while_stopping(own_server: Running) -> None:
    """A client with a kept connection learns of the stop from an answer, not from a reset."""
    with own_server.connect() as connection:
        connection.sendall(b"GET /v1/read HTTP/1.1\r\nHost: a\r\n\r\n")
        read_answer(connection)
        own_server.process.terminate()
        time.sleep(0.2)  # the workers have heard of it by now
        connection.sendall(b"GET /v1/read HTTP/1.1\r\nHost: a\r\n\r\n")
        reply = read_all(connection)
    assert reply.statuses == [200]
    own_server.process.wait(20)


def test_reload_replaces_workers_without_a_failed_request(own_server: Running) -> None:
    """While HUP, TTIN and TTOU change the workers, every request is answered."""
    before = own_server.workers()
    failures: list[object] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            reply = own_server.exchange(GET)
            if reply.statuses != [200]:
                failures.append(reply)

    clients = [threading.Thread(target=load) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        own_server.process.send_signal(signal.SIGHUP)
        await_true(lambda: len(own_server.workers()) == WORKERS and not before & own_server.workers())
        own_server.process.send_signal(signal.SIGTTIN)
        await_true(lambda: len(own_server.workers()) == WORKERS + 1)
        own_server.process.send_signal(signal.SIGTTOU)
        await_true(lambda: len(own_server.workers()) == WORKERS)
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert not failures
