"""Requests to foreign servers are bounded, whatever those do."""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import requests

from tests.certificates import Authority
from tests.foreign import Behaviour, Foreign, foreign_server
from vault import limits
from vault.modules.auth.outbound import Addresses, Outbound, Question, Reply, Unreachable, ask, list_addresses, make_tls, parse_url
from vault.modules.auth.outbound_session import bind

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"  # the end of the connection is that of the answer
BYTES_MAX = 1_000
SECONDS_MAX = 0.3


@pytest.fixture
def server() -> Iterator[Foreign]:
    """Return a server that answers nothing."""
    with foreign_server(lambda _: None) as found:
        yield found


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Return a bounded session of the requests library."""
    with requests.Session() as made:
        bind(made, "", 0.5)
        yield made


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


def test_server_that_drips_in_tls_is_unreachable() -> None:
    """A handshake that goes on byte by byte ends with the time of the whole exchange."""

    def run() -> None:
        with suppress(OSError):
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")  # 16 KiB of a first message will follow
                _drip(b"x")(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        begun = time.monotonic()
        with pytest.raises(Unreachable, match="no answer in time"):
            ask(question(f"https://127.0.0.1:{listening.getsockname()[1]}/"))
        assert time.monotonic() - begun < 10
        thread.join(10)


def test_answer_that_our_timer_cut_off_is_not_whole(server: Foreign) -> None:
    """Without a length the end of the connection is that of the answer, but not if we have ended it."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(HEAD)
        _drip(b"x")(connection)

    server.behaviour = behave
    with pytest.raises(Unreachable, match="no answer in time"):
        ask(question(server.url))


def test_answer_that_broke_off_is_not_whole(server: Foreign, tmp_path: Path) -> None:
    """The connection was reset, or, with TLS, the server has not said that this is the end: anybody could have cut it off."""

    def reset(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"part")
        time.sleep(0.1)  # it has arrived
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    server.behaviour = reset
    with pytest.raises(Unreachable):
        ask(question(server.url, seconds_max=5.0))
    authority, tls = _make_tls_server(tmp_path)

    def end(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"whole")
        assert isinstance(connection, ssl.SSLSocket)
        connection.unwrap()

    with foreign_server(_send(HEAD + b"part"), tls) as other:
        with pytest.raises(Unreachable, match="no connection, or no answer"):
            ask(question(other.url, make_tls(authority), 5.0))
        other.behaviour = end
        assert ask(question(other.url, make_tls(authority), 5.0)).body == b"whole"


def test_time_of_a_look_up_is_counted(server: Foreign) -> None:
    """It cannot be interrupted, but what comes after it has no time of its own."""
    server.serve(b"hello")

    def look_up(host: str, port: int) -> Addresses:
        time.sleep(SECONDS_MAX + 0.1)
        return list_addresses(host, port)

    with pytest.raises(Unreachable, match="no answer in time"):
        ask(question(server.url), look_up)
    assert ask(question(server.url, seconds_max=5.0), look_up).body == b"hello"


def test_addresses_of_a_name_have_one_deadline() -> None:
    """A name with many addresses, of which none answers, takes no longer than one with one."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, ExitStack() as fillers:
        address = listening.getsockname()
        for _ in range(4):  # from now on nobody gets a connection, and nobody is told
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        begun = time.monotonic()
        with pytest.raises(Unreachable, match="no answer in time"):
            ask(question(f"http://127.0.0.1:{address[1]}/"), lambda *_: [(socket.AF_INET, address)] * 100)
        assert time.monotonic() - begun < 10  # of 0.3; thirty where each has a time of its own


def test_next_address_is_tried(server: Foreign) -> None:
    """Where one refuses."""
    server.serve(b"hello")
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    found = [(socket.AF_INET, address), (socket.AF_INET, ("127.0.0.1", server.port))]
    assert ask(question(server.url, seconds_max=5.0), lambda *_: found).body == b"hello"
    for addresses in ([], found[:1]):
        with pytest.raises(Unreachable, match="no connection, or no answer"):
            ask(question(server.url), lambda *_, some=addresses: some)


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
    with pytest.raises(Unreachable, match="the URL cannot be used"):
        ask(question(url))


def test_answer_is_returned(server: Foreign) -> None:
    """Whatever its status; a redirect is an answer like others, and is not followed."""
    server.serve(b"moved", "302 Found")
    assert ask(question(server.url + "/a/b?c=d")) == Reply(status=302, body=b"moved")
    assert server.heads[-1].startswith(b"GET /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:")
    server.behaviour = _send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n")
    assert ask(question(server.url)).body == b"abcde"
    server.behaviour = _send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * BYTES_MAX)
    assert len(ask(question(server.url)).body) == BYTES_MAX


def test_servers_are_named_to_operators_only(server: Foreign) -> None:
    """The text itself may reach a stranger who logs in."""
    with pytest.raises(Unreachable) as caught:
        ask(question(server.url))
    assert str(server.port) not in str(caught.value)
    assert caught.value.detail.startswith(f"127.0.0.1:{server.port}: ")


def _make_tls_server(folder: Path) -> tuple[str, ssl.SSLContext]:
    """Return an authority, and what a server that it vouches for speaks."""
    authority = Authority(folder)
    pair = authority.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert_file, pair.key_file)
    return Path(authority.file).read_text(), context


def test_certificate_of_the_server_is_verified(tmp_path: Path) -> None:
    """By whom the question trusts, and by its name."""
    authority, context = _make_tls_server(tmp_path)
    with foreign_server(lambda _: None, context) as server:
        server.serve(b"hello")
        trust = make_tls(authority)
        assert ask(question(server.url, trust, 5.0)).body == b"hello"
        for url, other in ((server.url, ssl.create_default_context()), (server.url.replace("127.0.0.1", "127.0.0.2"), trust)):
            with pytest.raises(Unreachable):
                ask(question(url, other, 5.0))
        with pytest.raises(Unreachable):
            ask(question(server.url, None, 5.0))


def test_certificates_are_checked_by_the_named_authority_alone(tmp_path: Path) -> None:
    """Another one, or those of the system, do not vouch for the server; nor does the right one for another name."""
    trusted, tls = _make_tls_server(tmp_path / "ours")
    foreign = Path(Authority(tmp_path / "other").file).read_text()
    with foreign_server(lambda _: None, tls) as server:
        server.serve(b'{"a":1}')
        assert Outbound().fetch_object(server.url, trusted) == {"a": 1}
        for ca_pem in (foreign, ""):
            with pytest.raises(Unreachable, match="not trusted"):
                Outbound().fetch_object(server.url, ca_pem)
        with pytest.raises(Unreachable, match="not trusted"):
            Outbound().fetch_object(server.url.replace("127.0.0.1", "127.1"), trusted)


def test_no_authority_is_added_to_the_named_one(tmp_path: Path) -> None:
    """The library of sessions brings a bundle of its own, which must not count."""
    trusted, tls = _make_tls_server(tmp_path / "ours")
    foreign = Path(Authority(tmp_path / "other").file).read_text()
    assert len(make_tls(trusted).get_ca_certs()) == 1
    with foreign_server(lambda _: None, tls) as server, requests.Session() as session:
        server.serve(b"{}")
        bind(session, trusted)
        assert session.get(server.url, allow_redirects=False, timeout=5).status_code == 200
        for ca_pem in (foreign, ""):
            bind(session, ca_pem)
            with pytest.raises(Unreachable, match="not trusted"):
                session.get(server.url, verify=False)  # what the caller says of it does not count either


@pytest.mark.parametrize("text", ["nonsense", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "\xe4"])
def test_text_without_authorities_is_refused(text: str) -> None:
    """Whatever it is instead."""
    with pytest.raises(ValueError, match="could not parse CA PEM"):
        make_tls(text)
    with pytest.raises(Unreachable, match="could not parse CA PEM"):
        Outbound().fetch_object("http://127.0.0.1:1/", text)


ODD = [
    (HEAD + b"[1]", "not a JSON object"),
    (HEAD + b'{"a":1,"a":2}', "not a JSON object"),
    (HEAD + b"\xff", "not a JSON object"),
    (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nConnection: close\r\n\r\n{}", "redirects"),
    (b"HTTP/1.1 404 No\r\nConnection: close\r\n\r\n{}", "answered 404"),
    (b"nonsense\r\n\r\n", "no connection, or no answer"),
    (b"", "no connection, or no answer"),
    (HEAD + b" " * (limits.OUTBOUND_BYTES_MAX + 1), "too large"),
]


@pytest.mark.parametrize(("answer", "text"), ODD)
def test_odd_answers_are_refused(server: Foreign, answer: bytes, text: str) -> None:
    """With a reason of ours."""
    server.behaviour = _send(answer)
    with pytest.raises(Unreachable, match=text):
        Outbound().fetch_object(server.url, "")


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\n", HEAD])
def test_a_slow_server_is_left(server: Foreign, session: requests.Session, start: bytes) -> None:
    """However it drips: in its head or in its body, below the timeout of a single step."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(start)
        while not over.wait(0.05):
            connection.sendall(b"X")

    server.behaviour = drip
    begun = time.monotonic()
    try:
        with pytest.raises(Unreachable, match="no answer in time"):
            Outbound(seconds_max=0.5).fetch_object(server.url, "")
        with pytest.raises(Unreachable, match="no answer in time"):
            session.get(server.url)
    finally:
        over.set()
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://", "http://[", "", "http://127.0.0.1:99999/", "http://127.0.0.1:1/"]
)
def test_nothing_is_fetched_from_odd_urls(url: str) -> None:
    """Whatever stands in them."""
    with pytest.raises(Unreachable):
        Outbound().fetch_object(url, "")


def test_session_asks_and_answers_as_usual(
    server: Foreign, session: requests.Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """But for proxies and passwords of the environment, and for compressed answers, which nobody would unpack."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    answer = b'HTTP/1.1 400 No\r\nContent-Type: application/json\r\nX-A: b\r\nContent-Length: 7\r\n\r\n{"a":1}'
    server.behaviour = _send(answer)
    response = session.post(server.url + "/token?x=y", data={"code": "c d"}, headers={"X-Own": "z"})
    assert (response.status_code, response.json(), response.headers["x-a"]) == (400, {"a": 1}, "b")
    assert response.url == server.url + "/token?x=y"
    head = server.heads[-1].lower()
    assert head.startswith(b"post /token?x=y http/1.1\r\nhost: 127.0.0.1:")
    for line in (b"x-own: z", b"accept-encoding: identity", b"connection: close", b"content-length: 8"):
        assert head.count(b"\r\n" + line + b"\r\n") == 1
    assert b"authorization" not in head


def test_session_is_not_sent_elsewhere(server: Foreign, session: requests.Session) -> None:
    """A redirect is refused, also where the session would follow it; so is too much."""
    server.behaviour = _send(f"HTTP/1.1 307 No\r\nLocation: {server.url}/b\r\nContent-Length: 0\r\n\r\n".encode())
    with pytest.raises(Unreachable, match="redirects"):
        session.get(server.url, allow_redirects=True)
    assert len(server.heads) == 1
    server.behaviour = _send(ODD[-1][0])
    with pytest.raises(Unreachable, match="too large"):
        session.get(server.url)


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
