import time

import pytest

from tests.http.conftest import Running, end_sending, read_all, read_answer
from vault import limits

CANARY = b"GET /v1/canary HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /v1/write HTTP/1.1\r\nHost: a\r\n"
GET = b"GET /v1/read HTTP/1.1\r\n"

SMUGGLING = {
    "length and coding": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "two chunked": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding after chunked": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "coding before chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "coding with tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "coding in HTTP/1.0": b"POST /v1/write HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "the same length twice": POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "length list": POST + b"Content-Length: 0, 0\r\n\r\n",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "signed length": POST + b"Content-Length: +0\r\n\r\n",
    "hex length": POST + b"Content-Length: 0x0\r\n\r\n",
    "empty length": POST + b"Content-Length:\r\n\r\n",
    "superscript length": POST + b"Content-Length: \xb2\r\n\r\n",
    "bare LF": b"GET /v1/read HTTP/1.1\nHost: a\n\n",
    "bare LF in head": GET + b"Host: a\nX: b\r\n\r\n",
    "bare CR": GET + b"Host: a\rX: b\r\n\r\n",
    "folded header": GET + b"Host: a\r\n b\r\n\r\n",
    "space before colon": GET + b"Host : a\r\n\r\n",
    "NUL in header": GET + b"Host: a\x00b\r\n\r\n",
    "two hosts": GET + b"Host: a\r\nHost: b\r\n\r\n",
    "HTTP/0.9": b"GET /v1/read\r\n\r\n",
    "HTTP/2.0": b"GET /v1/read HTTP/2.0\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
    "bad chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "signed chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
    "hex chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "chunk size beyond counting": POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "chunk size after space": POST + b"Transfer-Encoding: chunked\r\n\r\n 2\r\n{}\r\n0\r\n\r\n",
    "chunk size with bare LF": POST + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
    "chunk extension with bare LF": POST + b"Transfer-Encoding: chunked\r\n\r\n2;a\nb\r\n{}\r\n0\r\n\r\n",
    "chunk extension with NUL": POST + b"Transfer-Encoding: chunked\r\n\r\n2;\x00\r\n{}\r\n0\r\n\r\n",
    "chunk extension without end": POST + b"Transfer-Encoding: chunked\r\n\r\n2;" + b"a" * 2_000 + b"\r\n{}\r\n0\r\n\r\n",
    "trailers": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Vault-Token: a\r\n\r\n",
    "too many chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 70_000 + b"0\r\n\r\n",
    "length in a trailer": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
    "tab before colon": GET + b"Host\t: a\r\n\r\n",
    "empty header name": GET + b": a\r\n\r\n",
    "control character in header": GET + b"Host: a\x01b\r\n\r\n",
    "space in target": b"GET /v1/read more HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces before the target": b"GET  /v1/read HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces after the target": b"GET /v1/read  HTTP/1.1\r\nHost: a\r\n\r\n",
    "LF in target": b"GET /v1/re\nad HTTP/1.1\r\nHost: a\r\n\r\n",
    "lower case version": b"GET /v1/read http/1.1\r\nHost: a\r\n\r\n",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "PROXY protocol": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + GET + b"Host: a\r\n\r\n",
    "chunk without end": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_ambiguous_framing_is_refused_and_ends_the_connection(server: Running, name: str) -> None:
    """Whatever follows a message whose end is doubtful is never taken for a request."""
    reply = server.exchange(SMUGGLING[name] + CANARY)
    assert (reply.statuses, reply.closed) == ([400], True)
    assert not [line for line in server.seen() if "canary" in line]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /v1/" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /v1/" + b"a" * (limits.PATH_BYTES_MAX + 1) + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (GET + b"".join(b"X-%d: 1\r\n" % number for number in range(200)) + b"\r\n", 431),
        (GET + b"X: " + b"a" * 20_000 + b"\r\n\r\n", 431),
        (GET + b"X-Vault-Token: " + b"a" * (limits.TOKEN_BYTES_MAX + 1) + b"\r\n\r\n", 431),
        (POST + b"Content-Length: %d\r\n\r\n" % (limits.BODY_BYTES_MAX + 1), 413),
        (POST + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % (limits.BODY_BYTES_MAX + 1), 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n2000001\r\n", 413),
        (POST + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415),
        (POST + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 415),
        (POST + b"Content-Encoding: identity, gzip\r\nContent-Length: 2\r\n\r\n{}", 415),
        (GET + b"X: " + b"a" * 70_000, 431),
        (GET + b"Expect: something\r\n\r\n", 417),
        (b"GET http://host/v1/read HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET //host/v1/read HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET /v1/read#fragment HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"CONNECT host:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"get /v1/read HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (GET + b"X-Vault-Token: a\r\nX-Vault-Token: b\r\n\r\n", 400),
        (GET + b"X-Vault-Token: a\r\nX-Vault-Token: a\r\n\r\n", 400),
        (GET + b"X-Vault-Token: a\r\nAuthorization: Bearer b\r\n\r\n", 400),
    ],
)
def test_refused_head_ends_the_connection(server: Running, data: bytes, status: int) -> None:
    """A request that is refused by its head leaves nothing behind that could be read as another."""
    reply = server.exchange(data + CANARY)
    assert (reply.statuses, reply.closed) == ([status], True)
    assert not [line for line in server.seen() if "canary" in line]


BOMBS = {
    "depth": b"[" * 100_000 + b"]" * 100_000,
    "depth of objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a million keys": b"{" + b",".join(b'"%d":1' % number for number in range(1_000_000)) + b"}",
    "a long integer": b'{"a":' + b"9" * 100_000 + b"}",
    "a large exponent": b'{"a":1e999999999}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "a key twice": b'{"a":1,"a":2}',
    "no object": b"[1,2]",
    "half of it": b'{"a":',
    "two of it": b'{"a":1}{"a":2}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "no UTF-8": b'{"a":"\xff"}',
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_refused_at_once(server: Running, name: str) -> None:
    """JSON that only serves to exhaust its reader, or that two readers would read differently, is no request."""
    begun = time.monotonic()
    reply = server.exchange(POST + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BOMBS[name]) + BOMBS[name])
    assert reply.statuses == [400]
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "kind", [b"text/plain", b"multipart/form-data", b"application/json; charset=utf-16", b"application/xml", b"text/json"]
)
def test_other_kinds_of_body_are_refused(server: Running, kind: bytes) -> None:
    """Only what is said to be JSON, or a form, is read."""
    assert server.exchange(POST + b"Content-Type: " + kind + b"\r\nContent-Length: 7\r\n\r\n" + b'{"a":1}').statuses == [415]


def test_leftover_of_a_refused_request_is_no_request(server: Running) -> None:
    """After a refusal the rest of a body is not read, whatever it looks like."""
    for head in (b"POST /v1/a//b HTTP/1.1\r\nHost: a\r\n", POST + b"Content-Encoding: gzip\r\n", b"PATCH /v1/a HTTP/1.1\r\nHost: a\r\n"):
        reply = server.exchange(head + b"Content-Length: %d\r\n\r\n" % len(CANARY) + CANARY + CANARY)
        assert (len(reply.statuses), reply.closed) == (1, True)
        assert reply.statuses[0] in (400, 415)
    assert not [line for line in server.seen() if "canary" in line]


@pytest.mark.parametrize("pieces", [1, 3, 50])
def test_request_may_come_in_pieces(server: Running, pieces: int) -> None:
    """Wherever the network cuts a request, it is the same request; so are two at once."""
    body = b'{"a":"' + b"x" * 40 + b'"}'
    chunked = (
        POST + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n" + body[:5] + b"\r\n%x\r\n" % (len(body) - 5) + body[5:] + b"\r\n0\r\n\r\n"
    )
    data = (chunked + POST + b"Content-Length: %d\r\n\r\n" % len(body) + body + CANARY.replace(b"canary", b"pieces")) * 2
    size = max(1, len(data) // pieces)
    with server.connect() as connection:
        for start in range(0, len(data), size):
            connection.sendall(data[start : start + size])
            time.sleep(0.002)
        end_sending(connection)
        reply = read_all(connection)
    assert reply.statuses == [200] * 6
    assert reply.data.count(b"x" * 40) == 4


def test_expected_body_of_a_refused_head_is_not_asked_for(server: Running) -> None:
    """Who waits to be asked hears the refusal instead."""
    with server.connect() as connection:
        connection.sendall(b"POST /v1/a//b HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n")
        assert read_all(connection).statuses == [400]


def test_every_refusal_is_on_record(own_server: Running) -> None:
    """What is not HTTP is recorded as well as what is not a valid request."""
    own_server.exchange(b"nonsense\r\n\r\n")
    own_server.exchange(b"GET /v1/a//b HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [line for line in own_server.seen() if line.startswith("refuse")] == [
        "refuse  InvalidRequest 127.0.0.1",
        "refuse a//b InvalidRequest 127.0.0.1",
    ]


def test_header_with_underscore_is_another_header(server: Running) -> None:
    """X_Vault_Token would become the same name in CGI's spelling: it does not count."""
    reply = server.exchange(GET + b"X_Vault_Token: a,b\r\n\r\n")
    assert reply.statuses == [200]


def test_body_of_a_read_is_never_a_request(server: Running) -> None:
    """A body that no one asked for is skipped by its length."""
    reply = server.exchange(GET + b"Content-Length: %d\r\n\r\n" % len(CANARY) + CANARY + GET + b"Host: a\r\n\r\n")
    assert reply.statuses == [200, 200]
    assert not [line for line in server.seen() if "canary" in line]


def test_chunked_body_is_read(server: Running) -> None:
    """A well-formed chunked body is a body like any other."""
    reply = server.exchange(POST + b'Transfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n')
    assert reply.statuses == [200]
    assert b'"data":{"a":1}' in reply.data


def test_expected_body_is_asked_for(server: Running) -> None:
    """A client that waits to be asked is asked, once its head is accepted."""
    with server.connect() as connection:
        connection.sendall(POST + b"Content-Length: 7\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        assert read_answer(connection).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b'{"a":1}')
        assert read_all(connection).statuses == [200]


def test_client_that_leaves_has_written_nothing(server: Running) -> None:
    """A body that breaks off at any byte never reaches a handler."""
    message = b"POST /v1/broken%d HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n" % server.port + b'{"a":1}'
    for end in range(0, len(message), 5):
        server.exchange(message[:end])
    assert not [line for line in server.seen() if f"handle update broken{server.port}" in line]
    assert server.exchange(message).statuses == [200]


def test_head_answer_has_the_length_and_no_body(server: Running) -> None:
    """HEAD answers as GET would, without content."""
    reply = server.exchange(b"HEAD /v1/read HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    head, _, body = reply.data.partition(b"\r\n\r\n")
    assert body == b""
    assert b"Content-Length: 2" in head or b"Content-Length: 1" in head


def test_answer_repeats_nothing_of_the_request(server: Running) -> None:
    """Neither Host nor any other header of the client comes back in the head of an answer."""
    reply = server.exchange(b"GET /v1/a HTTP/1.1\r\nHost: canary.example\r\nX-Forwarded-Host: canary.example\r\n\r\n")
    assert reply.statuses == [200]
    assert b"canary" not in reply.data
