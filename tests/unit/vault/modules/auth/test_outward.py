"""Requests to foreign servers: how much, how long, and whom they trust."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from tests.certificates import Authority
from vault import limits
from vault.modules.auth.outward import Bounded, Outward, OutwardFailed, bind

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
Answer = Callable[[socket.socket], None]


@contextmanager
def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Run a server that answers every connection by a function; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with suppress(OSError):
                while True:
                    raw, _ = listener.accept()
                    with suppress(OSError):
                        connection = raw if tls is None else tls.wrap_socket(raw, server_side=True)
                        with connection:
                            connection.recv(4096)
                            answer(connection)

        threading.Thread(target=run, daemon=True).start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)


def fetch(answer: Answer) -> object:
    """Fetch from a server that answers so."""
    with serving(answer) as url:
        return Outward().fetch_object(url, "")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (HEAD + b"[1]", "not a JSON object"),
        (HEAD + b'{"a":1,"a":2}', "not a JSON object"),
        (HEAD + b"\xff", "not a JSON object"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nConnection: close\r\n\r\n{}", "redirects"),
        (b"HTTP/1.1 404 No\r\nConnection: close\r\n\r\n{}", "answered 404"),
        (b"nonsense\r\n\r\n", "no connection, or no answer"),
        (b"", "no connection, or no answer"),
        (HEAD + b" " * (limits.OUTWARD_BYTES_MAX + 1), "too large"),
    ],
)
def test_odd_answers_are_refused(body: bytes, text: str) -> None:
    """With a reason of ours."""
    with pytest.raises(OutwardFailed, match=text):
        fetch(lambda connection: connection.sendall(body))


@pytest.mark.parametrize("start", [b"", HEAD])
def test_a_slow_server_is_left(start: bytes) -> None:
    """However it drips: in its head or in its body, below the timeout of a single step."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(start or b"HTTP/1.1 200 OK\r\n")
        while not over.wait(0.05):
            connection.sendall(b"X")

    begun = time.monotonic()
    try:
        with serving(drip) as url, pytest.raises(OutwardFailed, match="no answer in time"):
            Outward(seconds=0.5).fetch_object(url, "")
    finally:
        over.set()
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://", "http://[", "", "http://127.0.0.1:99999/", "http://127.0.0.1:1/"]
)
def test_odd_urls_are_refused(url: str) -> None:
    """Whatever stands in them."""
    with pytest.raises(OutwardFailed):
        Outward().fetch_object(url, "")


def test_certificates_are_checked_by_the_named_authority_alone(tmp_path: Path) -> None:
    """Another one, or those of the system, do not vouch for the server; nor does the right one for another name."""
    ours, other = (Authority(tmp_path / name) for name in ("ours", "other"))
    pair = ours.issue("server")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.cert_file, pair.key_file)
    trusted, foreign = (Path(authority.file).read_text() for authority in (ours, other))
    with serving(lambda connection: connection.sendall(HEAD + b'{"a":1}'), tls) as url:
        assert Outward().fetch_object(url, trusted) == {"a": 1}
        for ca_pem in (foreign, ""):
            with pytest.raises(OutwardFailed, match="not trusted"):
                Outward().fetch_object(url, ca_pem)
        with pytest.raises(OutwardFailed, match="not trusted"):
            Outward().fetch_object(url.replace("127.0.0.1", "127.1"), trusted)


def test_no_authority_is_added_to_the_named_one(tmp_path: Path) -> None:
    """The library underneath brings a bundle of its own, which must not count."""
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.cert_file, pair.key_file)
    with serving(lambda connection: connection.sendall(HEAD + b"{}"), tls) as url, requests.Session() as session:
        bind(session, Path(authority.file).read_text())
        assert session.get(url, allow_redirects=False, timeout=5).status_code == 200
        adapter = session.get_adapter(url)
        assert isinstance(adapter, Bounded)
        assert len(adapter._tls.get_ca_certs()) == 1
