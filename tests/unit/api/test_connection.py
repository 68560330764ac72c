import socket
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from gunicorn.config import Config

from api.connection import Connection, Phase
from api.entrance import Entrance
from vault.errors import Overloaded, TooLarge
from vault.settings import Address, Listener

HEAD = b"POST /v1/write HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n"
LISTENER = Listener(address=Address(host="127.0.0.1", port=1), body_bytes_max=100)


class Line:
    """A connection and its client."""

    def __init__(self, *, accepts: bool = True) -> None:
        ours, self.client = socket.socketpair()
        self.client.settimeout(5)
        self.judged: list[str] = []

        def judge(environ: Mapping[str, Any]) -> bool:
            self.judged.append(environ["RAW_URI"])
            return accepts

        config = Config()
        config.set("forwarded_allow_ips", "")
        self.connection = Connection(config, ours, ("127.0.0.1", 5), Entrance(LISTENER), judge)


@pytest.fixture
def line() -> Iterator[Line]:
    """Return a fresh connection."""
    line = Line()
    yield line
    line.client.close()
    line.connection.close()


def test_request_that_is_given_up_has_no_body(line: Line) -> None:
    """Who reads a body that was not waited for hears why, and nothing after it is trusted."""
    line.client.send(HEAD + b'\r\n{"a"')
    assert line.connection.advance(0) is None
    assert line.connection.phase is Phase.BODY
    assert line.connection.give_up(Overloaded())
    assert line.connection.advance(0) is True
    _, environ, is_whole = line.connection.take_request()
    assert not is_whole
    with pytest.raises(Overloaded):
        environ["wsgi.input"].read()


def test_body_over_the_limit_is_not_read(line: Line) -> None:
    """The announcement is enough."""
    line.client.send(HEAD.replace(b"7", b"101") + b"\r\n")
    assert line.connection.advance(0) is True
    with pytest.raises(TooLarge):
        line.connection.take_request()[1]["wsgi.input"].read()


def test_head_is_judged_once_before_its_body_is_waited_for(line: Line) -> None:
    """A request that is whole at once is not judged twice; one that is not, is judged before a thread lets go of it."""
    line.client.send(HEAD + b'\r\n{"a":1}')
    assert line.connection.advance(0) is True
    line.connection.take_request()
    assert line.judged == []
    line.client.send(HEAD + b"\r\n")
    assert line.connection.advance(0) is None
    assert line.connection.advance(0) is None
    assert line.judged == ["/v1/write"]


@pytest.mark.parametrize("accepts", [True, False])
def test_expected_body_is_asked_for_only_where_the_head_is_good(accepts: bool) -> None:
    """A client that waits to be asked is asked at once, or refused at once."""
    line = Line(accepts=accepts)
    line.client.send(HEAD + b"Expect: 100-continue\r\n\r\n")
    assert line.connection.advance(0) is (None if accepts else True)
    line.client.setblocking(False)
    if accepts:
        assert line.client.recv(100).startswith(b"HTTP/1.1 100 ")
    else:
        with pytest.raises(BlockingIOError):
            line.client.recv(100)
    line.client.close()
    line.connection.close()


def test_client_that_left_before_its_head_asked_for_nothing(line: Line) -> None:
    """Half a head is no request."""
    line.client.send(HEAD)
    line.client.shutdown(socket.SHUT_WR)
    assert line.connection.advance(0) is False


def test_answer_waits_for_its_reader(line: Line) -> None:
    """What the client does not take is kept, counted, and sent later."""
    data = b"x" * 5_000_000
    assert line.connection.send(data) is False
    assert line.connection.wants_write
    assert 0 < line.connection.held < len(data)
    received = 0
    while not line.connection.flush():
        received += len(line.client.recv(65_536))
    while received < len(data):
        received += len(line.client.recv(65_536))
    assert (line.connection.wants_write, line.connection.held) == (False, 0)
