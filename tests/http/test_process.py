import os
import signal
import socket
import threading
import time
from contextlib import suppress
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


def test_nobody_answers_once_the_arbiter_was_killed(own_server: Running) -> None:
    """Whoever starts a server on the same port at once never hears its predecessor."""
    own_server.process.kill()
    own_server.process.wait()
    for _ in range(2 * WORKERS):
        with suppress(ConnectionError), own_server.connect() as late:
            late.sendall(GET)
            assert read_all(late).data == b""


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


def test_reload_and_resize_fail_no_request(own_server: Running) -> None:
    """While HUP, TTIN and TTOU come, every request is answered, and HUP replaces nobody."""
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
        for number in range(1, 4):
            own_server.process.send_signal(signal.SIGHUP)
            await_true(lambda: all(_count(own_server, f"reload {pid} ") >= number for pid in before))  # noqa: B023 - waited for at once
        assert own_server.workers() == before
        own_server.process.send_signal(signal.SIGTTIN)
        await_true(lambda: len(own_server.workers()) == WORKERS + 1)
        own_server.process.send_signal(signal.SIGTTOU)
        await_true(lambda: len(own_server.workers()) == WORKERS)
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert not failures


def test_reload_takes_over_log_level_and_file(own_server: Running) -> None:
    """After HUP the new level holds in every worker, and a log that was moved away is left alone."""
    log = own_server.folder / "server.log"
    own_server.configure(log_file=str(log), log_level="debug")
    _reload(own_server, 1)
    own_server.exchange(GET)
    await_true(lambda: "/v1" not in log.read_text() and "status=200" in log.read_text())
    moved = log.rename(log.with_suffix(".1"))
    size = moved.stat().st_size
    _reload(own_server, 2)
    own_server.exchange(GET)
    await_true(lambda: log.exists() and "status=200" in log.read_text())
    assert b"status=200" not in moved.read_bytes()[size:]


def test_wrong_settings_change_nothing(own_server: Running) -> None:
    """Settings that cannot be used are named in the log, and everything goes on."""
    own_server.configure(log_file=str(own_server.folder / "missing" / "server.log"))
    own_server.process.send_signal(signal.SIGHUP)
    await_true(lambda: own_server.log().count("settings not taken over") == 1 + WORKERS)
    assert own_server.exchange(GET).statuses == [200]


def test_second_order_to_stop_is_obeyed_at_once(own_server: Running) -> None:
    """A request that runs holds up the first SIGTERM, and not the second."""
    with own_server.connect() as connection:
        connection.sendall(b"GET /v1/slow/20000 HTTP/1.1\r\nHost: a\r\n\r\n")
        _await_line(own_server, "handle read slow")
        own_server.process.terminate()
        time.sleep(0.5)
        assert own_server.process.poll() is None
        own_server.process.terminate()
        own_server.process.wait(5)
    assert not own_server.workers()


def test_hang_up_of_a_terminal_ends_no_worker(own_server: Running) -> None:
    """A signal that reaches the whole process group is a reload, and nothing else."""
    before = own_server.workers()
    os.killpg(own_server.process.pid, signal.SIGHUP)
    await_true(lambda: all(_count(own_server, f"reload {pid} ") for pid in before))
    assert own_server.workers() == before


def _count(server: Running, text: str) -> int:
    return sum(line.startswith(text) for line in server.seen())


def _reload(server: Running, number: int) -> None:
    server.process.send_signal(signal.SIGHUP)
    await_true(lambda: _count(server, "reload") == number * (1 + WORKERS))
