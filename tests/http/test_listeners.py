"""Several listeners of one server, each with its own rules."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.http.conftest import Running, find_port, running

CLIENT = b"GET /v1/client HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
PLAIN, OPEN, SMALL, TRUSTING, STRICT, FAR = range(6)
LISTENERS: tuple[dict[str, Any], ...] = (
    {},
    {
        "unauthenticated_metrics": True,
        "unauthenticated_in_flight": True,
        "unauthenticated_rekey": True,
        "unauthenticated_generate_root": True,
    },
    {"body_bytes_max": 1000},
    {"proxies": {"networks": ["127.0.0.0/8"], "reject_not_present": False}},
    {"proxies": {"networks": ["127.0.0.0/8"]}},
    {"proxies": {"networks": ["192.0.2.0/24"], "reject_not_present": False}},
)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a server with several plain listeners."""
    with running(tmp_path_factory.mktemp("several"), listeners=LISTENERS) as found:
        yield found


def _ask(server: Running, number: int, headers: bytes = b"") -> Any:
    data = server.over(find_port(server, number)).exchange(CLIENT + headers + b"\r\n").data
    return json.loads(data.partition(b"\r\n\r\n")[2])


def test_forwarded_address_counts_only_where_its_sender_is_believed(several: Running) -> None:
    """A header from anybody else is refused, or has no effect where no proxy is named at all."""
    header = b"X-Forwarded-For: 203.0.113.9\r\n"
    assert _ask(several, TRUSTING, header)["data"]["address"] == "203.0.113.9"
    assert _ask(several, TRUSTING, b"X-Forwarded-For: 1.2.3.4\r\n" + header)["data"]["address"] == "203.0.113.9"
    assert _ask(several, TRUSTING)["data"]["address"] == "127.0.0.1"
    assert _ask(several, PLAIN, header + b"Forwarded: for=203.0.113.9\r\nX-Real-IP: 203.0.113.9\r\n")["data"]["address"] == "127.0.0.1"
    assert "not authorized" in _ask(several, FAR, header)["errors"][0]
    assert "missing x-forwarded-for" in _ask(several, STRICT)["errors"][0]


def test_malformed_forwarded_address_is_refused_and_recorded(several: Running) -> None:
    """Nonsense in the header is no address, and the record names the proxy."""
    reply = several.over(find_port(several, TRUSTING)).exchange(CLIENT + b"X-Forwarded-For: nonsense\r\n\r\n")
    assert (reply.statuses, reply.closed) == ([400], True)
    assert several.seen()[-1] == "refuse client InvalidRequest 127.0.0.1"


def test_record_of_a_refusal_names_the_client_behind_the_proxy(several: Running) -> None:
    """Also what is refused for another reason came from the client."""
    head = b"GET /v1/a//b HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
    several.over(find_port(several, TRUSTING)).exchange(head)
    assert several.seen()[-1] == "refuse a//b InvalidRequest 203.0.113.9"


def test_doors_are_those_of_the_listener(several: Running) -> None:
    """What one listener opens to strangers stays closed on the others, whatever a client claims."""
    assert _ask(several, OPEN)["data"]["doors"] == ["generate-root", "in-flight-req", "metrics", "rekey"]
    for number in (PLAIN, SMALL, TRUSTING):
        assert _ask(several, number, b"Health-Vault-Open-Doors: metrics\r\nhealth_vault.open_doors: metrics\r\n")["data"]["doors"] == []


@pytest.mark.parametrize("body", [b"Content-Length: %d\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n%x\r\n"])
def test_body_limit_is_that_of_the_listener(several: Running, body: bytes) -> None:
    """A body over the limit is refused before it is sent, and one at the limit is read."""
    text = b'{"a":"' + b"x" * 992 + b'"}'
    head = b"POST /v1/write HTTP/1.1\r\nHost: a\r\n"
    end = b"\r\n0\r\n\r\n" if b"chunked" in body else b""
    small = several.over(find_port(several, SMALL))
    assert small.exchange(head + body % 1001).statuses == [413]
    assert small.exchange(head + body % 1000 + text + end).statuses == [200]
    assert several.over(find_port(several, PLAIN)).exchange(head + body % 1001 + text + b" " + end).statuses == [200]


def test_every_listener_is_announced(several: Running) -> None:
    """The log names each address that is listened at, once."""
    found = re.search(r"listening at: (\S+)", several.log())
    assert found is not None
    assert len(found[1].split(",")) == len(LISTENERS)
    assert "Listening at" not in several.log()
