"""Identity over all workers: rights follow the person at the next request, wherever it goes."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import pytest

from tests.integration.server.fleet import Answer, Connection, Fleet, running_fleet

ROUNDS = int(os.environ.get("HEALTH_VAULT_TEST_ROUNDS", "200")) // 4
FIRST_LOGINS = 100
POLICY = 'path "sys/mounts" { capabilities = ["read"] }'


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Return a server with four workers, a policy, and users whose passwords are cheap to check."""
    with running_fleet(workers=4) as running:
        hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode()
        write(running, "sys/auth/userpass", type="userpass")
        write(running, "sys/policies/acl/mounts", policy=POLICY)
        for name in ("ann", "bob", "cid", "first"):
            write(running, f"auth/userpass/users/{name}", password_hash=hashed)
        yield running


def write(fleet: Fleet, path: str, **fields: object) -> Answer:
    """Write as root; it must succeed."""
    answer = fleet.once("POST", path, fields, fleet.root)
    assert answer.status in {200, 204}, answer
    return answer


def log_in(fleet: Fleet, name: str) -> dict[str, str]:
    """Log in; return the `auth` of the answer."""
    answer = fleet.once("POST", f"auth/userpass/login/{name}", {"password": "right"})
    assert answer.status == 200, answer
    return dict(answer.body["auth"])


def ask_all(groups: list[list[Connection]], token: str) -> set[int]:
    """Ask every connection of every worker for what the policy gives; return the statuses."""
    return {connection.call("GET", "sys/mounts", None, token).status for group in groups for connection in group}


def test_many_first_logins_make_one_entity(fleet: Fleet) -> None:
    """A hundred at once, over all workers: all get a token, of the same entity, which has one alias."""
    with fleet.connected(-(-FIRST_LOGINS // fleet.workers)) as groups, ThreadPoolExecutor(FIRST_LOGINS) as pool:
        connections = [connection for row in zip(*groups, strict=False) for connection in row][:FIRST_LOGINS]
        calls = [pool.submit(connection.call, "POST", "auth/userpass/login/first", {"password": "right"}) for connection in connections]
        answers = [call.result() for call in calls]
    assert {answer.status for answer in answers} == {200}
    entities = {answer.body["auth"]["entity_id"] for answer in answers}
    assert len(entities) == 1
    (entity_id,) = entities
    aliases = fleet.once("GET", "identity/entity-alias/id?list=true", None, fleet.root).data["key_info"].values()
    assert [alias["canonical_id"] for alias in aliases if alias["name"] == "first"] == [entity_id]


def test_rights_of_a_nested_group_end_with_the_membership(fleet: Fleet) -> None:
    """In, out, in, out: every connection of every worker knows it at its next request."""
    auth = log_in(fleet, "ann")
    inner = write(fleet, "identity/group", name="inner").data["id"]
    write(fleet, "identity/group", name="outer", policies=["mounts"], member_group_ids=[inner])
    with fleet.connected(4) as groups:
        assert ask_all(groups, auth["client_token"]) == {403}
        for _ in range(ROUNDS):
            write(fleet, f"identity/group/id/{inner}", member_entity_ids=[auth["entity_id"]])
            assert ask_all(groups, auth["client_token"]) == {200}
            write(fleet, f"identity/group/id/{inner}", member_entity_ids=[])
            assert ask_all(groups, auth["client_token"]) == {403}


def test_a_group_that_leaves_another_takes_its_rights_along(fleet: Fleet) -> None:
    """The entity stays where it is; the group above gives nothing any more. A deleted group gives nothing either."""
    auth = log_in(fleet, "bob")
    lower = write(fleet, "identity/group", name="lower", member_entity_ids=[auth["entity_id"]]).data["id"]
    middle = write(fleet, "identity/group", name="middle", member_group_ids=[lower]).data["id"]
    upper = write(fleet, "identity/group", name="upper", policies=["mounts"], member_group_ids=[middle]).data["id"]
    with fleet.connected(4) as groups:
        assert ask_all(groups, auth["client_token"]) == {200}
        write(fleet, f"identity/group/id/{middle}", member_group_ids=[])
        assert ask_all(groups, auth["client_token"]) == {403}
        write(fleet, f"identity/group/id/{middle}", member_group_ids=[lower])
        assert ask_all(groups, auth["client_token"]) == {200}
        assert fleet.once("DELETE", f"identity/group/id/{upper}", None, fleet.root).status == 204
        assert ask_all(groups, auth["client_token"]) == {403}


def test_tokens_of_a_disabled_entity_are_refused_everywhere(fleet: Fleet) -> None:
    """At the next request; enabled again they are good again, deleted never."""
    auth = log_in(fleet, "cid")
    entity = f"identity/entity/id/{auth['entity_id']}"
    write(fleet, entity, policies=["mounts"])
    with fleet.connected(4) as groups:
        assert ask_all(groups, auth["client_token"]) == {200}
        for _ in range(ROUNDS // 5):
            write(fleet, entity, disabled=True)
            assert ask_all(groups, auth["client_token"]) == {403}
            assert fleet.once("POST", "auth/userpass/login/cid", {"password": "right"}).status in {400, 403}
            write(fleet, entity, disabled=False)
            assert ask_all(groups, auth["client_token"]) == {200}
        assert fleet.once("DELETE", entity, None, fleet.root).status == 204
        assert ask_all(groups, auth["client_token"]) == {403}
