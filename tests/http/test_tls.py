import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.entrance import Entrance
from tests.certificates import Authority, Pair
from tests.http.conftest import WORKERS, Running, await_true, find_port, read_all, read_answer, running, trust
from vault.config_file import WrongSetting
from vault.settings import Address, Listener, Tls

GET = b"GET /v1/read HTTP/1.1\r\nHost: a\r\n\r\n"
PEER = b"GET /peer/certificate HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
ASKS, REQUIRES, IGNORES, OLD, PLAIN = range(5)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Return a client's certificate of an authority that nobody knows."""
    return Authority(tmp_path_factory.mktemp("stranger"), "unknown").issue("stranger", client=True)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Running]:
    """Run a server whose listeners differ in TLS."""
    pair = authority.issue("many")
    files = {"cert_file": pair.cert_file, "key_file": pair.key_file}
    kinds: list[dict[str, Any]] = [
        {},
        {"client_ca_file": authority.file, "require_client_cert": True},
        {"disable_client_certs": True},
        {"max_version": "tls12", "cipher_suites": "ECDHE-ECDSA-AES128-GCM-SHA256"},
    ]
    listeners = [*({"tls": files | kind} for kind in kinds), {}]
    with running(tmp_path_factory.mktemp("many"), listeners=listeners, log_level="debug") as found:
        yield found


def _try(server: Running) -> bytes:
    """Return what a request gets, nothing where there was no agreement."""
    try:
        return server.exchange(GET).data
    except (ssl.SSLError, ConnectionError):
        return b""


def _enter(server: Running, authority: Authority, number: int, pair: Pair | None = None, **versions: ssl.TLSVersion) -> Running:
    context = trust(authority.file, **versions)
    if pair is not None:
        context.load_cert_chain(pair.cert_file, pair.key_file)
    return server.over(find_port(server, number), context)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_listener_requires_a_certificate_of_its_authority(
    many: Running, authority: Authority, stranger: Pair, version: ssl.TLSVersion
) -> None:
    """Without a certificate, or with a foreign one, or one that is no client's, no request gets through."""
    versions = {"minimum_version": version, "maximum_version": version}
    for pair in (None, stranger, authority.issue("no-client")):
        assert _try(_enter(many, authority, REQUIRES, pair, **versions)) == b""
    own = authority.issue("client", client=True)
    assert own.der in _enter(many, authority, REQUIRES, own, **versions).exchange(PEER).data
    assert many.over(find_port(many, PLAIN)).exchange(GET).statuses == [200]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_listener_asks_for_a_certificate_and_verifies_none(
    many: Running, authority: Authority, stranger: Pair, version: ssl.TLSVersion
) -> None:
    """Whoever shows a certificate, or none, is served, and the certificate is there for who wants to judge it."""
    versions = {"minimum_version": version, "maximum_version": version}
    assert stranger.der in _enter(many, authority, ASKS, stranger, **versions).exchange(PEER).data
    assert _enter(many, authority, ASKS, None, **versions).exchange(PEER).data.endswith(b"\r\n\r\n")


def test_listener_does_not_ask(many: Running, authority: Authority, stranger: Pair) -> None:
    """Where certificates are switched off, a client's never arrives, nor over plain HTTP."""
    assert _enter(many, authority, IGNORES, stranger).exchange(PEER).data.endswith(b"\r\n\r\n")
    assert many.over(find_port(many, PLAIN)).exchange(PEER).data.endswith(b"\r\n\r\n")


def test_certificate_belongs_to_one_connection(many: Running, authority: Authority, stranger: Pair) -> None:
    """No session is resumed: a client that offers one shows its certificate again, or has none."""
    port = find_port(many, ASKS)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = trust(authority.file, minimum_version=version, maximum_version=version)
        context.load_cert_chain(stranger.cert_file, stranger.key_file)
        session = None
        for _ in range(2):
            with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1", session=session) as client:
                client.sendall(PEER)
                assert stranger.der in read_all(client).data
                assert not client.session_reused
                session = client.session


def test_versions_and_suites_are_those_of_the_listener(many: Running, authority: Authority) -> None:
    """A listener speaks the versions and suites that it was told to, and no other."""
    with _enter(many, authority, OLD).connect() as connection:
        assert isinstance(connection, ssl.SSLSocket)
        assert connection.version() == "TLSv1.2"
        assert (connection.cipher() or ("",))[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"
    with _enter(many, authority, ASKS).connect() as connection:
        assert isinstance(connection, ssl.SSLSocket)
        assert connection.version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        _enter(many, authority, OLD, minimum_version=ssl.TLSVersion.TLSv1_3).connect()


def test_plain_request_to_a_tls_listener_is_told_so(many: Running) -> None:
    """A client that forgot the s gets a sentence, at once, and nothing is on record: it was no request."""
    before = len(many.seen())
    reply = many.over(find_port(many, ASKS)).exchange(GET)
    assert reply.data.startswith(b"HTTP/1.0 400 ")
    assert b"HTTPS server" in reply.data
    assert len(many.seen()) == before


@pytest.mark.parametrize(
    "data", [b"\0" * 100, b"\x16\x03\x01\xff\xff" + b"a" * 300, b"\xff" * 70_000, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"]
)
def test_garbage_ends_the_handshake(many: Running, authority: Authority, data: bytes) -> None:
    """What is no handshake ends at once, is logged at debug, and hurts nobody."""
    with many.over(find_port(many, ASKS)).connect() as connection:
        begun = time.monotonic()
        connection.sendall(data)
        read_all(connection)
        assert time.monotonic() - begun < 5
    await_true(lambda: re.search(r"\[debug *\] no TLS connection", many.log()) is not None)
    assert _enter(many, authority, ASKS).exchange(GET).statuses == [200]


def test_large_answer_and_body_pass_through_tls(many: Running, authority: Authority) -> None:
    """More than any buffer holds goes both ways."""
    server = _enter(many, authority, ASKS)
    assert server.exchange(b"GET /v1/big/8000000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").data.count(b"~") == 8_000_000
    body = b'{"a":"' + b"x" * 5_000_000 + b'"}'
    head = b"POST /v1/write HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert server.exchange(head + body).data.count(b"x") >= 5_000_000


def test_curl_is_served(many: Running, authority: Authority) -> None:
    """curl, which offers HTTP/2 first, is served by both versions of TLS."""
    for option in ("--tlsv1.3", "--tls-max=1.2"):
        command = ["curl", "-sS", "--cacert", authority.file, *option.split("="), f"https://127.0.0.1:{find_port(many, ASKS)}/v1/read"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert '"path":"read"' in done.stdout, done.stderr


def test_reload_renews_the_certificate(tmp_path: Path, authority: Authority) -> None:
    """New connections see the new certificate, open ones go on, and a broken file changes nothing."""
    first, second = authority.issue("first"), authority.issue("second")
    cert, key = tmp_path / "tls.pem", tmp_path / "tls.key"

    def install(pair: Pair) -> None:
        cert.write_bytes(Path(pair.cert_file).read_bytes())
        key.write_bytes(Path(pair.key_file).read_bytes())

    def serials() -> set[int]:
        found = set()
        for _ in range(4 * WORKERS):
            with server.connect() as connection:
                assert isinstance(connection, ssl.SSLSocket)
                found.add(int(str((connection.getpeercert() or {})["serialNumber"]), 16))
        return found

    install(first)
    with running(tmp_path, listeners=[{"tls": {"cert_file": str(cert), "key_file": str(key)}}]) as plain:
        server = plain.over(plain.port, trust(authority.file))
        with server.connect() as kept:
            kept.sendall(GET)
            read_answer(kept)
            install(second)
            server.process.send_signal(1)
            await_true(lambda: serials() == {second.serial})
            cert.write_text("nonsense")
            server.process.send_signal(1)
            await_true(lambda: server.log().count("certificate not taken over") == 1 + WORKERS)
            assert serials() == {second.serial}
            kept.sendall(GET)
            assert read_answer(kept).startswith(b"HTTP/1.1 200 ")


def _listener(**tls: Any) -> Listener:
    return Listener(address=Address(host="127.0.0.1", port=1), tls=Tls(**tls))


def test_files_that_cannot_be_used_stop_the_start(tmp_path: Path, authority: Authority) -> None:
    """Each wrong file or value is named, with what was expected."""
    pair, other = authority.issue("one"), authority.issue("other")
    sealed = authority.issue("sealed", passphrase=b"secret")
    text = tmp_path / "text"
    text.write_text("nonsense")
    files = {"cert_file": pair.cert_file, "key_file": pair.key_file}
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"cert_file": "/missing"}, "tls_cert_file /missing: expected a file that can be read"),
        ({"cert_file": str(text)}, f"tls_cert_file {text}: expected a certificate in PEM"),
        ({"key_file": str(text)}, f"tls_key_file {text}: expected a private key in PEM"),
        ({"key_file": other.key_file}, "expected the private key of the certificate"),
        ({"cert_file": sealed.cert_file, "key_file": sealed.key_file}, "without a passphrase"),
        ({"min_version": "tls14"}, "tls_min_version 'tls14': expected one of"),
        ({"min_version": "tls13", "max_version": "tls12"}, "expected at most tls_max_version"),
        ({"cipher_suites": "NONE-SUCH"}, "tls_cipher_suites 'NONE-SUCH'"),
        ({"client_ca_file": str(text)}, f"tls_client_ca_file {text}: expected certificates in PEM"),
        ({"require_client_cert": True}, "expected tls_client_ca_file"),
    )
    for values, sentence in wrong:
        with pytest.raises(WrongSetting, match=re.escape(sentence)):
            Entrance(_listener(**files | values))
    assert Entrance(_listener(**files)).environ["wsgi.url_scheme"] == "https"
