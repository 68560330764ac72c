"""Requests to foreign servers are bounded, whatever those do."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.foreign import Behaviour, Foreign, foreign_server
from vault import limits
from vault.modules.auth.outbound import Question, Reply, Unreachable, ask, parse_url

BYTES_MAX = 1_000
SECONDS_MAX = 0.3


@pytest.fixture
def server() -> Iterator[Foreign]:
    """Return a server that answers nothing."""
    with foreign_server(lambda _: None) as found:
        yield found


def question(url: str, trust: ssl.SSLContext | None = None, seconds_max: float = SECONDS_MAX) -> Question:
    """Return what is asked."""
    return Question(url=url, seconds_max=seconds_max, bytes_max=BYTES_MAX, trust=trust)


def _send(data: bytes) -> Behaviour:
    return lambda connection: connection.sendall(data)


def _drip(data: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        for byte in data * 1_000:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    return behave


def _hang(connection: socket.socket) -> None:
    connection.recv(1)


BAD: dict[str, Behaviour] = {
    "nothing": lambda _: None,
    "silence": _hang,
    "a head that never ends": _drip(b"HTTP/1.1 200 OK\r\nA: b\r\n"),
    "a byte now and then": _drip(b"x"),
    "no HTTP": _send(b"SSH-2.0\r\n\r\n"),
    "an endless head": _send(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10_000),
    "a long line": _send(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000),
    "more than it may be": _send(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001),
    "more than it says, without length": _send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000),
    "less than it says": _send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"),
    "chunks without an end": _send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"),
    "large chunks": _send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n" + b"x" * 5_000),
}


@pytest.mark.parametrize("behaviour", BAD.values(), ids=BAD)
def test_bad_server_is_unreachable(server: Foreign, behaviour: Behaviour) -> None:
    """There is an error, within the time, and no more is read than it may be."""
    server.behaviour = behaviour
    begun = time.monotonic()
    with pytest.raises(Unreachable):
        ask(question(server.url))
    assert time.monotonic() - begun < 10  # of 0.3, on a busy machine; dripping would go on for minutes


def test_server_that_hangs_in_tls_is_unreachable(server: Foreign) -> None:
    """A handshake has no longer than the rest."""
    server.behaviour = _hang
    with pytest.raises(Unreachable):
        ask(question(server.url.replace("http:", "https:")))


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://a/", "file:///etc/passwd", "http://", "http://a:b@c/", "http://a/#b", "http://a/ b", "http://a:99999/", "http://ä/"],
)
def test_odd_url_is_refused(url: str) -> None:
    """Only what every reader reads in the same way."""
    with pytest.raises(ValueError):
        parse_url(url)
    with pytest.raises(ValueError):
        parse_url(url + "\n")


def test_answer_is_returned(server: Foreign) -> None:
    """Whatever its status; a redirect is an answer like others, and is not followed."""
    server.serve(b"moved", "302 Found")
    assert ask(question(server.url + "/a/b?c=d")) == Reply(status=302, body=b"moved")
    assert server.heads[-1].startswith(b"GET /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:")
    server.behaviour = _send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n")
    assert ask(question(server.url)).body == b"abcde"
    server.behaviour = _send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * BYTES_MAX)
    assert len(ask(question(server.url)).body) == BYTES_MAX


def test_certificate_of_the_server_is_verified(tmp_path: Path) -> None:
    """By whom the question trusts, and by its name."""
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert_file, pair.key_file)
    with foreign_server(lambda _: None, context) as server:
        server.serve(b"hello")
        trust = ssl.create_default_context(cafile=authority.file)
        assert ask(question(server.url, trust, 5.0)).body == b"hello"
        for url, other in ((server.url, ssl.create_default_context()), (server.url.replace("127.0.0.1", "127.0.0.2"), trust)):
            with pytest.raises(Unreachable):
                ask(question(url, other, 5.0))


def test_few_questions_wait_at_once(server: Foreign) -> None:
    """While a foreign server hangs, the threads of a worker have other work."""
    released = threading.Event()

    def wait(_: socket.socket) -> None:
        released.wait(20)

    server.behaviour = wait
    refusals: list[str] = []

    def run() -> None:
        try:
            ask(question(server.url, seconds_max=20.0))
        except Unreachable as error:
            refusals.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(limits.OUTBOUND_MAX + 2)]
    for thread in threads:
        thread.start()
    while len(refusals) < 2:
        time.sleep(0.01)
    assert refusals == ["too many requests to other servers at once"] * 2
    released.set()
    for thread in threads:
        thread.join()
    server.serve(b"again")
    assert ask(question(server.url)).body == b"again"
