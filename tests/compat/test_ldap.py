"""auth/ldap with a real directory, hvac and `bao`. The reference has it as a plugin of its own, so there is nothing to compare with."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hvac
import hvac.exceptions
import pytest

from tests.certificates import Authority
from tests.compat.command import Command
from tests.compat.wire import Wire
from tests.directory import BASE, READER, READER_PASSWORD

REFUSED = ["ldap operation failed: failed to bind as user"]
UNREACHABLE = ["ldap operation failed: no directory server could be reached"]
DEADLINE = 30.0


def free_pair() -> int:
    """Return a port that is free together with the next one."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            with suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port


class Directory:
    """The server of the directory and how a mount reaches it."""

    def __init__(self, port: int, ca_pem: str) -> None:
        self.url, self.secure_url, self.ca_pem = f"ldap://127.0.0.1:{port}", f"ldaps://127.0.0.1:{port + 1}", ca_pem

    def config(self, **fields: Any) -> dict[str, Any]:
        """Return a configuration that searches, with some fields changed."""
        return {
            "url": self.url,
            "userdn": f"ou=people,{BASE}",
            "userattr": "uid",
            "groupdn": f"ou=groups,{BASE}",
            "binddn": READER,
            "bindpass": READER_PASSWORD,
            **fields,
        }


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    """Run a directory."""
    authority = Authority(tmp_path_factory.mktemp("directory"))
    pair = authority.issue("127.0.0.1")
    port = free_pair()
    command = [sys.executable, "-m", "tests.directory_server", str(port), str(pair.cert_file), str(pair.key_file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield Directory(port, Path(authority.file).read_text())
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def mount(root: Wire, name: str, directory: Directory) -> Iterator[str]:
    """Return a mount over the directory."""
    assert root.post(f"sys/auth/{name}", {"type": "ldap"}).status == 204
    assert root.post(f"auth/{name}/config", directory.config()).status == 204
    yield name
    root.delete(f"sys/auth/{name}")


def log_in(wire: Wire, mount: str, user: str, password: str) -> Any:
    """Try a password."""
    return wire.post(f"auth/{mount}/login/{user}", {"password": password})


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("ann", "of bob"),
        ("ann", ""),
        ("nobody", "of ann"),
        ("twin", "of twin"),
        ("*", "of ann"),
        ("ann)(uid=*", "of ann"),
        ("*)(uid=*))(|(uid=*", "of ann"),
        ("ann,ou=people", "of ann"),
        ("x" * 600, "of ann"),
        (f"uid=ann,ou=people,{BASE}", "of ann"),
    ],
)
def test_whoever_is_not_known_gets_one_answer(anonymous: Wire, mount: str, user: str, password: str) -> None:
    """Wrong passwords, empty ones, names that nobody or several have, and names that would be filters."""
    answer = log_in(anonymous, mount, user, password)
    assert (answer.status, answer.json["errors"]) == (400, REFUSED)


def test_an_empty_password_never_reaches_the_directory(root: Wire, anonymous: Wire, mount: str, directory: Directory) -> None:
    """A directory would take it for an anonymous bind, which succeeds; whatever the mount is told."""
    assert root.post(f"auth/{mount}/config", {"deny_null_bind": False, "binddn": "", "bindpass": ""}).status == 204
    assert log_in(anonymous, mount, "ann", "").json["errors"] == REFUSED
    assert directory.url


def test_five_wrong_passwords_lock_the_name(root: Wire, anonymous: Wire, mount: str) -> None:
    """Then the right one is refused as well, in whatever case the name is written, until somebody unlocks it."""
    for _ in range(5):
        assert log_in(anonymous, mount, "bob", "wrong").status == 400
    assert log_in(anonymous, mount, "Bob", "of bob").status in {400, 403}
    accessor = root.get("sys/auth").data[f"{mount}/"]["accessor"]
    assert root.post(f"sys/locked-users/{accessor}/unlock/bob", {}).status == 204
    assert log_in(anonymous, mount, "bob", "of bob").status == 200


def test_rights_come_from_groups_of_the_directory_and_from_here(root: Wire, anonymous: Wire, mount: str) -> None:
    """Policies of mapped groups and of the user; an external group gives its own through the entity."""
    assert root.post(f"auth/{mount}/groups/Doctors", {"policies": "of-doctors"}).status == 204
    assert root.post(f"auth/{mount}/groups/local", {"policies": "of-local"}).status == 204
    assert root.post(f"auth/{mount}/users/ANN", {"policies": "of-ann", "groups": "local"}).status == 204
    accessor = root.get("sys/auth").data[f"{mount}/"]["accessor"]
    group = root.post("identity/group", {"name": f"{mount}-doctors", "type": "external", "policies": ["external"]}).data["id"]
    alias = {"name": "doctors", "mount_accessor": accessor, "canonical_id": group}
    assert root.post("identity/group-alias", alias).status == 200
    auth = log_in(anonymous, mount, "ann", "of ann").json["auth"]
    assert auth["token_policies"] == ["default", "of-ann", "of-doctors", "of-local"]
    assert auth["identity_policies"] == ["external"]
    assert auth["metadata"] == {"username": "ann"}
    again = log_in(anonymous, mount, "ANN", "of ann").json["auth"]
    assert again["entity_id"] == auth["entity_id"]


def test_a_name_with_special_characters_is_a_name(anonymous: Wire, mount: str) -> None:
    """Stars and brackets mean nothing in it."""
    assert log_in(anonymous, mount, "o*(ne)", "of one").status == 200


def test_a_renewal_looks_for_the_person_again(root: Wire, anonymous: Wire, mount: str) -> None:
    """With the same policies it is granted; once a mapping has changed, or the person is found no more, it is not."""
    token = log_in(anonymous, mount, "ann", "of ann").json["auth"]["client_token"]
    own = anonymous.with_token(token)
    assert own.post("auth/token/renew-self", {}).status == 200
    root.post(f"auth/{mount}/users/ann", {"policies": "more"})
    refused = own.post("auth/token/renew-self", {})
    assert (refused.status, refused.json["errors"]) == (400, ["policies have changed, not renewing"])
    root.delete(f"auth/{mount}/users/ann")
    assert own.post("auth/token/renew-self", {}).status == 200
    root.post(f"auth/{mount}/config", {"userdn": f"ou=groups,{BASE}"})
    assert own.post("auth/token/renew-self", {}).status == 400


def test_a_mount_without_binddn_makes_the_entry_of_the_name(root: Wire, anonymous: Wire, mount: str) -> None:
    """Nobody searches before the login."""
    root.post(f"auth/{mount}/config", {"binddn": "", "bindpass": ""})
    assert log_in(anonymous, mount, "ann", "of ann").status == 200
    assert log_in(anonymous, mount, "ann", "of bob").json["errors"] == REFUSED
    assert log_in(anonymous, mount, "ann,ou=people", "of ann").json["errors"] == REFUSED


@pytest.mark.parametrize("way", ["ldaps", "starttls"])
def test_tls_counts_only_with_a_known_authority(root: Wire, anonymous: Wire, mount: str, directory: Directory, way: str) -> None:
    """With the right one it works, with none or another it does not, unless told not to look."""
    place = {"url": directory.secure_url} if way == "ldaps" else {"starttls": True}
    root.post(f"auth/{mount}/config", {**place, "tls_max_version": "tls13"})
    assert log_in(anonymous, mount, "ann", "of ann").json["errors"] == UNREACHABLE
    root.post(f"auth/{mount}/config", {"certificate": directory.ca_pem})
    assert log_in(anonymous, mount, "ann", "of ann").status == 200
    root.post(f"auth/{mount}/config", {"certificate": "", "insecure_tls": True})
    assert log_in(anonymous, mount, "ann", "of ann").status == 200


@contextmanager
def strange_server(answer: bytes, pause: float) -> Iterator[str]:
    """Run a server that takes a connection and answers what no directory would, or nothing for a while."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(answer)
                    time.sleep(pause)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"ldap://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


@pytest.mark.parametrize(("answer", "pause"), [(b"HTTP/1.1 400 Bad\r\n\r\n", 0.1), (b"\x30\x84\xff\xff\xff\xff", 3.0), (b"", 3.0)])
def test_a_strange_server_is_none(root: Wire, anonymous: Wire, mount: str, answer: bytes, pause: float) -> None:
    """Its answer is never taken for a yes, and it is not waited for beyond what the mount says."""
    with strange_server(answer, pause) as url:
        root.post(f"auth/{mount}/config", {"url": url, "request_timeout": 1, "connection_timeout": 1})
        begun = time.monotonic()
        found = log_in(anonymous, mount, "ann", "of ann")
        assert found.status == 400
        assert time.monotonic() - begun < DEADLINE


def test_the_next_server_is_asked_where_one_is_dead(root: Wire, anonymous: Wire, mount: str, directory: Directory) -> None:
    """URLs are tried in their order; a wrong password is no reason to try another."""
    root.post(f"auth/{mount}/config", {"url": f"ldap://127.0.0.1:1,{directory.url}"})
    assert log_in(anonymous, mount, "ann", "of ann").status == 200
    root.post(f"auth/{mount}/config", {"url": "ldap://127.0.0.1:1"})
    assert log_in(anonymous, mount, "ann", "of ann").json["errors"] == UNREACHABLE


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "http://x"},
        {"url": ""},
        {"url": "ldap://"},
        {"tls_min_version": "ssl3"},
        {"tls_min_version": "tls13", "tls_max_version": "tls12"},
        {"certificate": "garbage"},
        {"client_tls_cert": "x"},
        {"userfilter": "((("},
        {"userfilter": "({{.Nope}}=1)"},
        {"groupfilter": "(uid={{.UserDN"},
        {"dereference_aliases": "now"},
        {"use_token_groups": True},
        {"request_timeout": -1},
        {"max_page_size": 1.5},
        {"token_policies": "root"},
    ],
)
def test_configurations_that_cannot_work_are_refused(root: Wire, mount: str, fields: dict[str, Any]) -> None:
    """And change nothing."""
    before = root.get(f"auth/{mount}/config").data
    assert root.post(f"auth/{mount}/config", fields).status == 400
    assert root.get(f"auth/{mount}/config").data == before


def test_hvac_drives_every_endpoint(client: hvac.Client, root: Wire, mount: str, directory: Directory) -> None:
    """Configure, map, list, log in, delete; secrets of the configuration are never told."""
    ldap = client.auth.ldap
    settings = directory.config()
    ldap.configure(
        userdn=settings["userdn"], groupdn=settings["groupdn"], url=directory.url, userattr="uid", binddn=READER,
        bindpass=READER_PASSWORD, mount_point=mount,
    )  # fmt: skip
    shown = ldap.read_configuration(mount_point=mount)["data"]
    assert shown["binddn"] == READER
    assert READER_PASSWORD not in str(shown)
    ldap.create_or_update_group("doctors", policies=["a"], mount_point=mount)
    ldap.create_or_update_user("ann", policies=["b"], groups=["x"], mount_point=mount)
    assert ldap.list_groups(mount_point=mount)["data"]["keys"] == ["doctors"]
    assert ldap.read_group("doctors", mount_point=mount)["data"]["policies"] == ["a"]
    assert ldap.list_users(mount_point=mount)["data"]["keys"] == ["ann"]
    assert ldap.read_user("ann", mount_point=mount)["data"] == {"policies": ["b"], "groups": "x"}
    auth = ldap.login("ann", "of ann", mount_point=mount, use_token=False)["auth"]
    assert auth["token_policies"] == ["a", "b", "default"]
    with pytest.raises(hvac.exceptions.InvalidRequest, match="failed to bind"):
        ldap.login("ann", "wrong", mount_point=mount, use_token=False)
    ldap.delete_group("doctors", mount_point=mount)
    ldap.delete_user("ann", mount_point=mount)
    with pytest.raises(hvac.exceptions.InvalidPath):
        ldap.list_groups(mount_point=mount)
    assert root.get(f"auth/{mount}/users/ann").status == 404


def test_bao_logs_in(cli: Command, mount: str) -> None:
    """By a write: `bao login` has lost this method, Vault's has it."""
    done = cli.run("write", "-field=token", f"auth/{mount}/login/ann", "password=of ann").ok()
    assert done.out.strip().startswith("hvs.")
    assert cli.run("write", f"auth/{mount}/login/ann", "password=wrong").code != 0
