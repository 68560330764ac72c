"""Revocation lists: written or fetched, and what they end."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.foreign import Foreign, foreign_server
from tests.issuer import make
from tests.unit.vault.modules.auth.methods.cert.conftest import CertWorld
from vault import limits
from vault.errors import InvalidRequest

REFUSED = "no chain matching all constraints"
LISTS = "auth/cert/crls"


@pytest.fixture
def server() -> Iterator[Foreign]:
    """Return a server of lists."""
    with foreign_server(lambda _: None) as found:
        yield found


@pytest.mark.parametrize(
    "fields", [{}, {"crl": ""}, {"crl": "nonsense"}, {"url": ""}, {"url": "ftp://a/"}, {"url": "http://127.0.0.1:1/"}, {"crl": 7}]
)
def test_list_that_is_none_is_refused(world: CertWorld, fields: dict[str, Any]) -> None:
    """And nothing is stored."""
    with pytest.raises(InvalidRequest):
        world.write(f"{LISTS}/a", **fields)
    assert world.list(LISTS) == ()


@pytest.mark.parametrize("body", [b"", b"nonsense", b"x" * (limits.REVOCATIONS_BYTES_MAX + 1)])
def test_fetched_list_that_is_none_is_refused(world: CertWorld, server: Foreign, body: bytes) -> None:
    """Nor is one that is too large, or comes with an error."""
    server.serve(body)
    with pytest.raises(InvalidRequest, match="fetching the CRL failed"):
        world.write(f"{LISTS}/a", url=server.url)
    for status in ("404 Not Found", "302 Found"):
        server.serve(world.root.revoke(now=world.now), status)
        with pytest.raises(InvalidRequest, match=f"unexpected response code {status[:3]}"):
            world.write(f"{LISTS}/a", url=server.url)
    assert world.list(LISTS) == ()


def test_unknown_list_is_told(world: CertWorld) -> None:
    """As Vault tells it."""
    for call in (world.read, world.delete):
        with pytest.raises(InvalidRequest, match="no such CRL none"):
            call(f"{LISTS}/none")


def test_revoked_certificate_is_refused_by_the_first_login(world: CertWorld) -> None:
    """A list that is there before anybody has logged in counts for everybody, also on a worker that has never read one."""
    good, bad = world.client("good"), world.client("bad")
    world.trust()
    world.write(f"{LISTS}/Main", crl=world.root.revoke(bad, now=world.now).decode())
    assert world.read(f"{LISTS}/main") == {"serials": {bad.serial: {}}}
    for worker in (None, world.worker()):
        with pytest.raises(InvalidRequest, match=REFUSED):
            world.enter(bad, worker=worker)
        world.enter(good, worker=worker)
    world.delete(f"{LISTS}/main")
    world.enter(bad)


def test_revocation_reaches_all_of_a_chain_and_trusted_clients(world: CertWorld) -> None:
    """An authority between is revoked as well, and trust in a certificate itself does not outweigh a list."""
    between = world.root.issue("between", authority=True, now=world.now)
    shown, own = between.issue("client", now=world.now), world.make("own")
    world.trust()
    world.trust("own", certificate=own.pem)
    world.enter(shown, between)
    world.enter(own)
    world.write(f"{LISTS}/a", crl=world.root.revoke(between, own, now=world.now).decode())
    with pytest.raises(InvalidRequest, match=REFUSED):
        world.enter(shown, between)
    with pytest.raises(InvalidRequest, match="invalid certificate"):
        world.enter(own)


def test_revoked_certificate_renews_nothing(world: CertWorld) -> None:
    """A token ends with its certificate, at the latest when it would be renewed."""
    world.trust()
    own = world.client()
    auth = world.enter(own)
    world.renew(auth, own)
    world.write(f"{LISTS}/a", crl=world.root.revoke(own, now=world.now).decode())
    with pytest.raises(InvalidRequest, match=REFUSED):
        world.renew(auth, own)


def test_list_over_its_time_still_counts(world: CertWorld) -> None:
    """A certificate is not good again because nobody wrote a new list."""
    bad = world.client(until=timedelta(days=9))
    world.trust()
    world.write(f"{LISTS}/a", crl=world.root.revoke(bad, now=world.now).decode())
    world.clock.advance(5 * 24 * 3600)
    world.root = make("root", authority=True, now=world.now, key=world.root.key)
    world.trust()
    with pytest.raises(InvalidRequest, match=REFUSED):
        world.enter(bad)


def test_list_of_too_many_is_refused(world: CertWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no cache holds would be decoded by every login."""
    monkeypatch.setattr(limits, "REVOKED_MAX", 1)
    with pytest.raises(InvalidRequest, match="at most 1 serials"):
        world.write(f"{LISTS}/a", crl=world.root.revoke(world.client(), world.client(), now=world.now).decode())


def test_fetched_list_is_signed_by_its_authority(world: CertWorld, server: Foreign) -> None:
    """A list that comes over an open line and bears the name of a trusted authority must be its list."""
    world.trust()
    namesake = world.make("root", authority=True)
    server.serve(namesake.revoke(now=world.now))
    with pytest.raises(InvalidRequest, match="no trusted authority"):
        world.write(f"{LISTS}/a", url=server.url)
    server.serve(world.root.revoke(now=world.now))
    world.write(f"{LISTS}/a", url=server.url)


def test_fetched_list_is_fetched_anew_when_it_is_due(world: CertWorld, server: Foreign) -> None:
    """By the first login after that, which it already decides. While it cannot be had, the old one holds, and is asked for rarely."""
    first, second = world.client("first", until=timedelta(days=9)), world.client("second", until=timedelta(days=9))
    world.root = make("root", authority=True, now=world.now, key=world.root.key, until=timedelta(days=9))
    world.trust()
    server.serve(world.root.revoke(first, now=world.now))
    world.write(f"{LISTS}/a", url=server.url)
    assert world.read(f"{LISTS}/a")["cdp"]["url"] == server.url
    with pytest.raises(InvalidRequest, match=REFUSED):
        world.enter(first)
    world.enter(second)
    assert len(server.heads) == 1
    world.clock.advance(25 * 3600)
    server.serve(b"gone", "500 Internal Server Error")
    for _ in range(3):
        world.enter(second)
        with pytest.raises(InvalidRequest, match=REFUSED):
            world.enter(first)
    assert len(server.heads) == 2
    server.serve(world.root.revoke(second, now=world.now))
    world.clock.advance(limits.REVOCATIONS_RETRY_SECONDS + 1)
    with pytest.raises(InvalidRequest, match=REFUSED):
        world.enter(second)
    world.enter(first)
    assert len(server.heads) == 3
