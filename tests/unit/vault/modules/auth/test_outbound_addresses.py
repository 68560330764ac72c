"""How a server outside is named to itself, and what it may call a length."""

import socket

import pytest

from tests.foreign import foreign_server
from vault.modules.auth.outbound import Addresses, Question, Unreachable, ask


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("http://[2001:db8::abcd]/x", b"[2001:db8::abcd]"),
        ("http://[2001:db8::12]/x", b"[2001:db8::12]"),
        ("http://[::1]:8080/x", b"[::1]:8080"),
        ("http://p.example/x", b"p.example"),
        ("http://p.example:80/x", b"p.example"),
        ("http://p.example:8080/x", b"p.example:8080"),
    ],
)
def test_server_is_asked_under_its_own_name(url: str, named: bytes) -> None:
    """No part of an IPv6 address is taken for a port."""
    with foreign_server(lambda _: None) as server:
        server.serve(b"hello")

        def look_up(_host: str, _port: int) -> Addresses:
            return [(socket.AF_INET, ("127.0.0.1", server.port))]

        assert ask(Question(url=url, seconds_max=5.0, bytes_max=100), look_up).body == b"hello"
        assert b"\r\nHost: " + named + b"\r\n" in server.heads[0]


@pytest.mark.parametrize("length", [b"-5", b"five", b"5.0"])
def test_length_that_is_none_is_no_whole_answer(length: bytes) -> None:
    """Nobody knows then where the answer ends."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\nhello"
    with foreign_server(lambda connection: connection.sendall(answer)) as server, pytest.raises(Unreachable):
        ask(Question(url=server.url, seconds_max=5.0, bytes_max=100))
