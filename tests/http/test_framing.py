import pytest

from tests.http.conftest import Running, read_all, read_answer
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


def test_every_refusal_is_on_record(own_server: Running) -> None:
    """What is not HTTP is recorded as well as what is not a valid request."""
    own_server.exchange(b"nonsense\r\n\r\n")
    own_server.exchange(b"GET /v1/a//b HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [line for line in own_server.seen() if line.startswith("refuse")] == ["refuse  InvalidRequest", "refuse a//b InvalidRequest"]


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
    message = b"POST /v1/broken HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n" + b'{"a":1}'
    for end in range(0, len(message), 5):
        server.exchange(message[:end])
    assert not [line for line in server.seen() if "handle update broken" in line]
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
