"""Logins by a directory: what is refused, by what it is asked, who gets in."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.ldap_directory import Directory
from tests.unit.vault.modules.auth.methods.ldap.conftest import People
from vault import limits
from vault.errors import InvalidRequest, LoginFailed, PermissionDenied
from vault.modules.auth.methods.ldap.person import WRONG

FAILED = "ldap operation failed: failed to ask the directory"


@pytest.mark.parametrize("fields", [{}, {"binddn": ""}], ids=["searched", "own name"])
@pytest.mark.parametrize(
    "name", ["nobody", "ann*", "*", "*)(uid=*", "ann)(|(uid=*", "ann,ou=people", "ann\\2a", "a+uid=ann", "#ann", "bob"]
)
def test_wrong_logins_are_one_refusal(world: People, name: str, fields: dict[str, Any]) -> None:
    """Unknown names, names with the signs of filters and distinguished names, and a wrong password."""
    world.configure(**fields)
    with pytest.raises(LoginFailed) as refused:
        world.enter(name, "ann-password")
    assert str(refused.value) == WRONG


@pytest.mark.parametrize("name", ["ann\0", "ann\n", " ", "..", "x" * 600, "\ud800"])
def test_names_that_nobody_has_are_not_asked_for(world: People, name: str) -> None:
    """No question reaches the directory."""
    with pytest.raises(InvalidRequest):
        world.enter(name, "ann-password")
    assert world.directory.seen == []


@pytest.mark.parametrize("password", ["", "a\0b"])
@pytest.mark.parametrize("deny", [True, False])
def test_an_empty_password_is_never_sent(world: People, password: str, *, deny: bool) -> None:
    """The directory would take it for an anonymous bind, whatever deny_null_bind says."""
    world.configure(deny_null_bind=deny)
    with pytest.raises(InvalidRequest):
        world.enter("ann", password)
    assert world.directory.seen == []


def test_two_people_of_one_name_are_nobody(world: People) -> None:
    """Neither of their passwords is tried."""
    world.configure(userattr="mail")
    with pytest.raises(LoginFailed, match=WRONG):
        world.enter("shared@clinic.test", "bob-password")
    assert not any("bob" in line for line in world.directory.seen)


def test_unknown_names_take_as_many_questions(world: People) -> None:
    """As a wrong password does."""
    asked = []
    for name in ("ann", "nobody"):
        world.directory.forget()
        with pytest.raises(LoginFailed):
            world.enter(name, "wrong")
        asked.append([line.split()[0] for line in world.directory.seen])
    assert asked[0] == asked[1] == ["bind", "search", "bind"]


def test_groups_and_users_give_policies(world: People) -> None:
    """Groups of the directory and of the mount, in whatever case."""
    world.write("auth/ldap/groups/doctors", policies="read-charts")
    world.write("auth/ldap/groups/night", policies="on-call")
    world.write("auth/ldap/users/Ann", policies="own", groups="Night")
    auth = world.enter("Ann", "ann-password")
    assert sorted(auth.policies) == ["base", "default", "on-call", "own", "read-charts"]
    assert dict(auth.metadata or {}) == {"username": "ann"}
    assert sorted(world.enter("bob").policies) == ["base", "default"]


def test_every_spelling_is_one_entity(world: People) -> None:
    """Whether the alias is the name or the attribute."""
    for by_name in (True, False):
        world.configure(username_as_alias=by_name)
        entities = {world.enter(name, "ann-password").entity_id for name in ("ann", "ANN", " ann ", "\uff41nn")}
        assert len(entities) == 1


@pytest.mark.parametrize(
    "fields",
    [{"binddn": ""}, {"userfilter": "(&(objectClass=person)({{ .UserAttr }}={{.Username}}))"}, {"max_page_size": 100}],
    ids=["own name", "filter", "pages"],
)
def test_people_are_found_in_other_ways(world: People, fields: dict[str, Any]) -> None:
    """And get their groups."""
    world.write("auth/ldap/groups/doctors", policies="read-charts")
    world.configure(**fields)
    assert "read-charts" in world.enter().policies


def test_guesses_lock_a_name_in_every_spelling(world: People) -> None:
    """Then the right password is refused without asking; others get in."""
    for name in ("ann", "ANN", " ann", "\uff41nn", "Ann"):
        with pytest.raises(LoginFailed):
            world.enter(name, "wrong")
    world.directory.forget()
    with pytest.raises(PermissionDenied):
        world.enter()
    assert world.directory.seen == []
    assert world.enter("bob").entity_id


def test_more_groups_than_the_limit_are_a_refusal(world: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is left out may be the one whose policy denies."""
    monkeypatch.setattr(limits, "LDAP_GROUPS_MAX", 1)
    _require_failure(world)
    assert world.enter("bob").entity_id


# -- renewals ---------------------------------------------------------------------------------------------------------


def test_a_renewal_looks_for_the_person_again(world: People) -> None:
    """By the searcher, without any password."""
    auth = world.enter()
    world.directory.forget()
    world.renew(auth)
    assert {line for line in world.directory.seen if line.startswith("bind")} == {"bind cn=searcher,dc=test"}
    world.configure(userfilter="(&(uid={{.Username}})(objectClass=none))")
    with pytest.raises(InvalidRequest, match="not in the directory any more"):
        world.renew(auth)


@pytest.mark.parametrize("fields", [{}, {"binddn": ""}], ids=["searched", "own name"])
def test_a_renewal_is_refused_when_policies_changed(world: People, fields: dict[str, Any]) -> None:
    """Also where nobody may search: then the groups of the login count."""
    world.configure(**fields)
    auth = world.enter()
    world.renew(auth)
    world.write("auth/ldap/groups/doctors", policies="read-charts")
    with pytest.raises(InvalidRequest, match="policies have changed"):
        world.renew(auth)


# -- peers ------------------------------------------------------------------------------------------------------------


def test_tls_is_verified(world: People, directory: Directory, tmp_path: Path) -> None:
    """Over LDAPS and StartTLS, unless that is switched off."""
    stranger = Path(Authority(tmp_path, "stranger").file).read_text()
    for way in ({"url": directory.tls_url}, {"starttls": True}):
        world.configure(certificate=directory.ca_cert, **way)
        assert world.enter().entity_id
        world.configure(certificate=stranger, **way)
        directory.forget()
        _require_failure(world)
        assert not any(line.startswith("bind") for line in directory.seen)
        world.configure(certificate=stranger, insecure_tls=True, **way)
        assert world.enter().entity_id
        world.configure(insecure_tls=False, starttls=False)


def test_several_urls_are_tried_in_turn(world: People, directory: Directory) -> None:
    """Dead ones are passed over."""
    world.configure(url=f"ldap://127.0.0.1:1, {directory.url}")
    assert world.enter().entity_id


def test_a_wrong_bindpass_is_nobodys_guess(world: People) -> None:
    """And is in no error."""
    world.configure(bindpass="hidden-secret")
    for _ in range(6):
        _require_failure(world)
    world.configure()
    assert world.enter().entity_id


def _silent(peer: socket.socket) -> None:
    with suppress(OSError):
        while peer.recv(1024):
            pass


def _dripping(peer: socket.socket) -> None:
    with suppress(OSError):
        peer.sendall(b"\x30\x82\xff\xff")
        while True:
            peer.sendall(b"\x02")
            time.sleep(0.05)


def _send(data: bytes) -> Callable[[socket.socket], None]:
    def send(peer: socket.socket) -> None:
        peer.recv(1024)
        with suppress(OSError):
            peer.sendall(data)

    return send


PEERS = {
    "silent": _silent,
    "dripping": _dripping,
    "closing": lambda _: None,
    "speaking HTTP": _send(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "zeros": _send(bytes(64)),
    "ones": _send(b"\xff" * 64),
    "half a message": _send(b"\x30\x0c\x02\x01\x01\x61"),
    "another message": _send(b"\x30\x0c\x02\x01\x09\x61\x07\x0a\x01\x00\x04\x00\x04\x00"),
    "endless": _send(b"\x30\x84\x7f\xff\xff\xff" + bytes(limits.LDAP_BYTES_MAX + 1)),
}


@contextmanager
def _peer(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"ldap://127.0.0.1:{listener.getsockname()[1]}"
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.parametrize("serve", PEERS.values(), ids=PEERS)
def test_bad_peers_end_in_one_refusal(world: People, serve: Callable[[socket.socket], None]) -> None:
    """Within the time that the configuration gives, or so."""
    with _peer(serve) as url:
        world.configure(url=url, request_timeout=1)
        started = time.monotonic()
        _require_failure(world)
        assert time.monotonic() - started < 10


def _require_failure(world: People) -> None:
    with pytest.raises(InvalidRequest) as refused:
        world.enter()
    assert not isinstance(refused.value, LoginFailed)
    assert str(refused.value) == FAILED
