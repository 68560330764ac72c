"""Configuration, groups and users of a mount: what is refused, what is kept, what is never shown."""

from typing import Any

import pytest

from tests.ldap_directory import Directory
from tests.unit.vault.modules.auth.methods.ldap.conftest import People
from vault.errors import InvalidRequest, NotFound
from vault.logical.operation import Operation
from vault.modules.auth.methods.ldap.name import fill_filter, find_common_name, make_dn

BAD: tuple[dict[str, Any], ...] = (
    {"url": "http://x"},
    {"url": "ldap://"},
    {"url": "ldap://x:99999"},
    {"url": "ldap://user@x"},
    {"url": "ldap://x/dc=test??sub"},
    {"url": "ldap://a,b"},
    {"tls_min_version": "tls9"},
    {"tls_min_version": "tls13", "tls_max_version": "tls12"},
    {"certificate": "nonsense"},
    {"client_tls_cert": "nonsense"},
    {"client_tls_key": "nonsense"},
    {"userattr": ""},
    {"userattr": "uid)(x"},
    {"groupattr": "a b"},
    {"userfilter": "((("},
    {"userfilter": ""},
    {"userfilter": "(uid={{.Foo}})"},
    {"userfilter": "(uid={{if .Username}}x{{end}})"},
    {"groupfilter": "(uid={{"},
    {"binddn": "cn=a\0"},
    {"dereference_aliases": "sometimes"},
    {"token_policies": "root"},
    *({"max_page_size": junk} for junk in (-1, 1.5, True, "x", [1], {"a": 1})),
    *({"connection_timeout": junk} for junk in (0, -1, 1.5, True, "x", float("nan"))),
    *({"request_timeout": junk} for junk in (0, "-1s", True, "x")),
    *({"starttls": junk} for junk in ("maybe", 7, [True])),
)


@pytest.mark.parametrize("fields", BAD, ids=str)
def test_bad_configuration_is_refused_and_not_stored(world: People, fields: dict[str, Any]) -> None:
    """What was there before stays."""
    before = world.read("auth/ldap/config")
    with pytest.raises(InvalidRequest):
        world.write("auth/ldap/config", **fields)
    assert world.read("auth/ldap/config") == before


def test_absent_fields_keep_their_value(world: People, directory: Directory) -> None:
    """Password and key are never shown, and kept as well."""
    world.write("auth/ldap/config", token_ttl="5m")
    shown = world.read("auth/ldap/config")
    assert (shown["userattr"], shown["token_ttl"], shown["url"]) == ("uid", 300, directory.url)
    assert "bindpass" not in shown
    assert "client_tls_key" not in shown
    assert "search-password" not in str(shown)
    assert world.enter().entity_id


def test_nothing_configured_logs_nobody_in(world: People) -> None:
    """The defaults are shown, not used."""
    world.write("sys/auth/other", type="ldap")
    assert world.read("auth/other/config")["userfilter"] == "({{.UserAttr}}={{.Username}})"
    with pytest.raises(InvalidRequest, match="ldap backend not configured"):
        world.send(Operation.UPDATE, "auth/other/login/ann", {"password": "x"}, token=None)


@pytest.mark.parametrize("kind", ["groups", "users"])
def test_mappings_are_written_read_listed_and_deleted(world: People, kind: str) -> None:
    """Names in whatever case are one; the configuration can tell them apart."""
    with pytest.raises(NotFound):
        world.read(f"auth/ldap/{kind}/x")
    for name in ("Night Shift", "b", "c"):
        world.write(f"auth/ldap/{kind}/{name}", policies=["P1", "p2"])
    assert world.read(f"auth/ldap/{kind}/night shift")["policies"] == ["p1", "p2"]
    listed = world.send(Operation.LIST, f"auth/ldap/{kind}", {"after": "b", "limit": "1"})
    assert listed is not None
    assert (listed.data or {})["keys"] == ["c"]
    world.send(Operation.DELETE, f"auth/ldap/{kind}/B", {})
    with pytest.raises(NotFound):
        world.read(f"auth/ldap/{kind}/b")
    world.configure(case_sensitive_names=True)
    with pytest.raises(NotFound):
        world.read(f"auth/ldap/{kind}/C")


@pytest.mark.parametrize("name", ["a/b", "..", "a\0", "x" * 600, " "])
@pytest.mark.parametrize("kind", ["groups", "users"])
def test_bad_names_are_refused(world: People, kind: str, name: str) -> None:
    """As a bad request."""
    with pytest.raises(InvalidRequest):
        world.write(f"auth/ldap/{kind}/{name}", policies="p")


@pytest.mark.parametrize("kind", ["groups", "users"])
def test_root_is_not_given(world: People, kind: str) -> None:
    """By no mapping."""
    with pytest.raises(InvalidRequest):
        world.write(f"auth/ldap/{kind}/x", policies="ROOT")


def test_groups_of_users_are_shown_as_text(world: People) -> None:
    """As Vault does."""
    world.write("auth/ldap/users/x", groups="b, A")
    assert world.read("auth/ldap/users/x") == {"policies": [], "groups": "a,b"}


def test_values_are_escaped() -> None:
    """By RFC 4515 in filters, by RFC 4514 in distinguished names."""
    assert fill_filter("(a={{.X}})", {"X": "*)(uid=*\\\0"}) == "(a=\\2a\\29\\28uid=\\2a\\5c\\00)"
    assert fill_filter("({{.X}}={{.Y}})", {"X": "{{.Y}}", "Y": "b"}) == "({{.Y}}=b)"
    assert make_dn("uid", 'a,b+c="d"<e>;\\ ', "dc=test") == 'uid=a\\,b\\+c\\=\\"d\\"\\<e\\>\\;\\\\\\ ,dc=test'
    assert make_dn("uid", "#a", "") == "uid=\\#a"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cn=Doctors,ou=groups,dc=test", "Doctors"),
        ("CN=a\\,b,dc=test", "a,b"),
        ("cn=\\C3\\A4rzte,dc=test", "ärzte"),
        ("ou=x,dc=test", "ou=x,dc=test"),
        ("plain", "plain"),
        ("a=", "a="),
    ],
)
def test_groups_are_named_by_their_common_name(text: str, name: str) -> None:
    """Where they have one."""
    assert find_common_name(text) == name
