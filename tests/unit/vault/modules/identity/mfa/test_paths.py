"""Methods, enforcements and secrets: what is refused, and what is answered."""

import base64
from typing import Any

import pyotp
import pytest

from tests.unit.vault.modules.identity.mfa.door import Clinic
from vault.errors import InvalidRequest, NotFound, PermissionDenied
from vault.logical.operation import Operation

NOBODY = "00000000-0000-0000-0000-000000000000"
METHOD = "identity/mfa/method/totp"
RULE = "identity/mfa/login-enforcement/r"
BAD_METHODS = (
    {"issuer": ""},
    {"issuer": "a:b"},
    {"issuer": "a\nb"},
    {"issuer": "x" * 300},
    {"period": 0},
    {"period": -1},
    {"period": 1.5},
    {"period": True},
    {"period": 10**9},
    {"key_size": 0},
    {"key_size": 15},
    {"key_size": 10**6},
    {"qr_size": -1},
    {"qr_size": 10**6},
    {"algorithm": "MD5"},
    {"algorithm": "sha1"},
    {"digits": 7},
    {"digits": float("nan")},
    {"skew": 2},
    {"skew": -1},
    {"max_validation_attempts": -1},
    {"max_validation_attempts": 10**6},
    {"method_name": "a/b"},
    {"method_name": "a:b"},
    {"method_name": "a,b"},
    {"method_name": ".."},
    {"method_name": "\0"},
    {"method_name": "x" * 300},
)


@pytest.mark.parametrize("fields", BAD_METHODS, ids=str)
def test_bad_methods_are_refused(clinic: Clinic, fields: dict[str, Any]) -> None:
    """Nothing is stored, made new or changed."""
    before = clinic.read(f"{METHOD}/{clinic.method_id}")
    for place in (METHOD, f"{METHOD}/{clinic.method_id}"):
        with pytest.raises(InvalidRequest):
            clinic.write(place, **{"issuer": "Clinic", **fields})
    assert clinic.list(METHOD) == (clinic.method_id,)
    assert clinic.read(f"{METHOD}/{clinic.method_id}") == before


@pytest.mark.parametrize("kind", ["okta", "duo", "pingid"])
def test_other_kinds_are_refused(clinic: Clinic, kind: str) -> None:
    """In clear words; there are none to be listed."""
    for place in (f"identity/mfa/method/{kind}", f"identity/mfa/method/{kind}/{NOBODY}"):
        with pytest.raises(InvalidRequest, match=f"of the type {kind} are not supported"):
            clinic.write(place, org_name="x")
    assert clinic.send(Operation.LIST, f"identity/mfa/method/{kind}/", {}) is None
    assert clinic.send(Operation.READ, f"identity/mfa/method/{kind}/{NOBODY}", {}) is None


def test_a_method_is_made_changed_and_deleted(clinic: Clinic) -> None:
    """What is not given is as new, but for the name; a name that is known names the method."""
    method_id = clinic.make_method(method_name="phone", digits=8, period="1m", algorithm="SHA256", skew=0)
    assert clinic.make_method(method_name="phone", digits=8) == method_id
    clinic.write(f"{METHOD}/{method_id}", issuer="Other")
    found = clinic.read(f"identity/mfa/method/{method_id}")
    assert (found["name"], found["issuer"], found["digits"], found["period"]) == ("phone", "Other", 6, 30)
    other = clinic.make_method(method_name="card")
    with pytest.raises(InvalidRequest, match="method name phone already exists"):
        clinic.write(f"{METHOD}/{other}", issuer="Clinic", method_name="phone")
    clinic.delete(f"{METHOD}/{method_id}")
    clinic.delete(f"{METHOD}/{method_id}")
    assert clinic.send(Operation.READ, f"{METHOD}/{method_id}", {}) is None
    with pytest.raises(NotFound):
        clinic.write(f"{METHOD}/{method_id}", issuer="Clinic")


def test_a_method_in_use_stays(clinic: Clinic) -> None:
    """Until nothing enforces it; its secrets go with it."""
    clinic.enrol()
    clinic.enforce()
    with pytest.raises(InvalidRequest, match="methodID is still used by an enforcement configuration with ID"):
        clinic.delete(f"{METHOD}/{clinic.method_id}")
    clinic.delete("identity/mfa/login-enforcement/all")
    clinic.delete(f"{METHOD}/{clinic.method_id}")
    assert not clinic.rows_below("core/mfa/secret/")


TARGET = {"auth_method_types": ["door"]}
BAD_RULES = (
    (TARGET, "missing method ids"),
    ({"mfa_method_ids": [], **TARGET}, "missing method ids"),
    ({"mfa_method_ids": [NOBODY], **TARGET}, "one of the provided method ids doesn't exist"),
    ({"mfa_method_ids": ["<<id>>"]}, "One of auth_method_accessors, auth_method_types, identity_group_ids"),
    ({"mfa_method_ids": ["<<id>>"], "auth_method_types": []}, "One of auth_method_accessors"),
    ({"mfa_method_ids": ["<<id>>"], "auth_method_types": ["kv"]}, "one of the auth method types provided is invalid"),
    ({"mfa_method_ids": ["<<id>>"], "auth_method_accessors": ["x"]}, "one of the auth method accessors provided is invalid"),
    ({"mfa_method_ids": ["<<id>>"], "identity_group_ids": [NOBODY]}, "one of the provided group ids doesn't exist"),
    ({"mfa_method_ids": ["<<id>>"], "identity_entity_ids": [NOBODY, "../x"]}, "one of the provided entity ids doesn't exist"),
    ({"mfa_method_ids": ["<<id>>"], "auth_method_types": [["door"]]}, "Field validation failed"),
)


@pytest.mark.parametrize(("fields", "words"), BAD_RULES, ids=str)
def test_bad_enforcements_are_refused(clinic: Clinic, fields: dict[str, Any], words: str) -> None:
    """Nothing is stored."""
    asked = {name: [clinic.method_id if item == "<<id>>" else item for item in value] for name, value in fields.items()}
    with pytest.raises(InvalidRequest, match=words):
        clinic.send(Operation.UPDATE, RULE, asked)
    assert clinic.send(Operation.READ, RULE, {}) is None


@pytest.mark.parametrize("name", ["-a", "a b", "a-", "é", "x" * 300])
def test_bad_names_of_enforcements_are_refused(clinic: Clinic, name: str) -> None:
    """Letters, digits and what joins them."""
    with pytest.raises(InvalidRequest, match="the name of an enforcement"):
        clinic.enforce(name)


def test_an_enforcement_is_made_changed_and_deleted(clinic: Clinic) -> None:
    """Targets that are not given stay; what is gone meanwhile is no obstacle."""
    clinic.enforce("r")
    clinic.write(RULE, mfa_method_ids=[clinic.method_id], identity_entity_ids=[clinic.entity_id])
    found = clinic.read(RULE)
    assert (found["auth_method_types"], found["identity_entity_ids"]) == (["door"], [clinic.entity_id])
    assert clinic.list("identity/mfa/login-enforcement") == ("r",)
    clinic.delete("sys/auth/main/door")
    clinic.write(RULE, mfa_method_ids=[clinic.method_id])
    clinic.delete(RULE)
    assert clinic.send(Operation.READ, RULE, {}) is None


@pytest.mark.parametrize("place", ["generate", "admin-generate", "admin-destroy"])
def test_secrets_are_made_for_those_who_are_known(clinic: Clinic, place: str) -> None:
    """By a method that is known."""
    for fields in (
        {},
        {"method_id": NOBODY},
        {"method_id": NOBODY, "entity_id": NOBODY},
        {"method_id": clinic.method_id, "entity_id": "a/b"},
    ):
        with pytest.raises(InvalidRequest, match=r"missing method ID|missing entity ?ID|does not exist|invalid entity ID"):
            clinic.send(Operation.UPDATE, f"{METHOD}/{place}", fields)
    assert not clinic.rows_below("core/mfa/secret/")


def test_a_secret_is_told_once(clinic: Clinic) -> None:
    """With a picture of it; whoever asks again is told that there is one."""
    method_id = clinic.make_method(method_name="phone", algorithm="SHA512", digits=8, qr_size=300)
    auth = clinic.login().auth
    assert auth is not None
    clinic.write("sys/policies/acl/default", policy=f'path "{METHOD}/generate" {{ capabilities = ["update"] }}')
    token = auth.client_token.reveal()
    told = clinic.write(f"{METHOD}/generate", method_id=method_id, token=token).data
    app = pyotp.parse_uri(told["url"])
    assert (app.issuer, app.name, app.digits, app.digest().name) == ("Clinic", clinic.entity_id, 8, "sha512")
    picture = base64.b64decode(told["barcode"])
    assert picture.startswith(b"\x89PNG")
    assert 200 < int.from_bytes(picture[16:20], "big") <= 300
    again = clinic.send(Operation.UPDATE, f"{METHOD}/generate", {"method_id": method_id}, token=token)
    assert again is not None
    assert again.data is None
    assert again.warnings == ('Entity already has a secret for MFA method "phone"',)


def test_no_picture_is_drawn_where_none_is_wanted(clinic: Clinic) -> None:
    """The address is enough."""
    method_id = clinic.make_method(qr_size=0)
    told = clinic.write(f"{METHOD}/admin-generate", method_id=method_id, entity_id=clinic.entity_id).data
    assert told["barcode"] == ""


def test_a_changed_method_leaves_secrets_as_they_are(clinic: Clinic) -> None:
    """An app knows nothing of the change."""
    app = clinic.enrol()
    clinic.enforce()
    clinic.write(f"{METHOD}/{clinic.method_id}", issuer="Clinic", digits=8, algorithm="SHA256", period=60)
    assert clinic.login("ann", (clinic.method_id, clinic.code(app))).auth


def make_entity(clinic: Clinic, name: str) -> str:
    """Make an entity and return its id."""
    data = clinic.answer(Operation.UPDATE, "identity/entity", {"name": name}).data
    assert data is not None
    return str(data["id"])


def test_a_merge_takes_secrets_and_enforcements_along(clinic: Clinic) -> None:
    """Who was to bring a code before is to bring it after; nobody is left with another's code by accident."""
    app = clinic.enrol()
    clinic.enforce("r", identity_entity_ids=[clinic.entity_id])
    target = make_entity(clinic, "whole")
    clinic.write("identity/entity/merge", from_entity_ids=[clinic.entity_id], to_entity_id=target)
    assert clinic.read(RULE)["identity_entity_ids"] == [target]
    with pytest.raises(PermissionDenied):
        clinic.login("ann", (clinic.method_id, "000000"))
    auth = clinic.login("ann", (clinic.method_id, clinic.code(app))).auth
    assert auth is not None
    assert auth.entity_id == target
    other = make_entity(clinic, "other")
    clinic.enrol(entity_id=other)
    asked = {"from_entity_ids": [other], "to_entity_id": target}
    with pytest.raises(InvalidRequest, match="conflict in MFA secret"):
        clinic.write("identity/entity/merge", **asked)  # type: ignore[arg-type]  # fields of the request
    clinic.write("identity/entity/merge", force=True, **asked)  # type: ignore[arg-type]  # the same
    clinic.clock.advance(30)
    assert clinic.login("ann", (clinic.method_id, clinic.code(app))).auth


def test_secrets_go_with_their_entity(clinic: Clinic) -> None:
    """And a login that waits ends."""
    app = clinic.enrol()
    clinic.enforce()
    request_id = clinic.begin()
    clinic.delete(f"identity/entity/id/{clinic.entity_id}")
    assert not clinic.rows_below("core/mfa/secret/")
    with pytest.raises(PermissionDenied):
        clinic.finish(request_id, clinic.code(app))


def test_members_of_a_group_need_a_second_factor(clinic: Clinic) -> None:
    """Through another group as well, from the next login on; who leaves needs none."""
    inner = clinic.answer(Operation.UPDATE, "identity/group", {"name": "inner", "member_entity_ids": [clinic.entity_id]}).data
    assert inner is not None
    outer = clinic.answer(Operation.UPDATE, "identity/group", {"name": "outer", "member_group_ids": [inner["id"]]}).data
    assert outer is not None
    clinic.enforce("r", identity_group_ids=[outer["id"]])
    other = clinic.worker()
    clinic.begin(worker=other)
    assert clinic.login("ben").auth
    clinic.write(f"identity/group/id/{inner['id']}", member_entity_ids=[])
    auth = clinic.login(worker=other).auth
    assert auth is not None
    assert auth.mfa_requirement is None


def test_a_disabled_entity_gets_no_token(clinic: Clinic) -> None:
    """Also with a code, and where it was disabled in between."""
    app = clinic.enrol()
    clinic.enforce()
    request_id = clinic.begin()
    clinic.write(f"identity/entity/id/{clinic.entity_id}", disabled=True)
    with pytest.raises(PermissionDenied):
        clinic.finish(request_id, clinic.code(app))
    with pytest.raises(PermissionDenied):
        clinic.login("ann", (clinic.method_id, clinic.code(app)))
