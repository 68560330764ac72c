"""Moving mounts."""

from typing import Any

import msgspec
import pytest

from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest, NotFound, UnsupportedPath
from vault.logical.operation import Operation
from vault.modules.system.remount import IN_PROGRESS, PREFIX, Migration


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "both 'from' and 'to' path must be specified as a string"),
        ({"from": "m"}, "both 'from' and 'to' path must be specified as a string"),
        ({"from": "nosuch", "to": "x"}, 'no matching mount at "nosuch/"'),
        ({"from": "m", "to": "m"}, 'path already in use at "m/"'),
        ({"from": "m", "to": "m/x"}, 'path already in use at "m/"'),
        ({"from": "m", "to": "sys"}, "cannot remount to destination sys/"),
        ({"from": "m", "to": "identity/x"}, "cannot remount to destination identity/x/"),
        ({"from": "m", "to": "auth/m"}, "cannot remount to destination auth/m/"),
        ({"from": "sys", "to": "x"}, 'cannot remount "sys/"'),
        ({"from": "cubbyhole", "to": "x"}, 'cannot remount "cubbyhole/"'),
        ({"from": "auth/token", "to": "auth/x"}, 'cannot remount "auth/token/"'),
        ({"from": "auth/token", "to": "x"}, 'cannot remount auth mount to non-auth mount "x/"'),
        ({"from": "m", "to": "a/../b"}, "invalid mount path"),
    ],
    ids=str,
)
def test_remount_refuses(world: World, fields: dict[str, Any], text: str) -> None:
    """A refused move says why and moves nothing."""
    world.write("sys/mounts/m", type="kv")
    before = world.read("sys/mounts")
    with pytest.raises(InvalidRequest) as refusal:
        world.write("sys/remount", **fields)
    assert text in str(refusal.value)
    assert world.read("sys/mounts") == before


def test_remount_takes_data_along_and_revokes_leases(world: World) -> None:
    """The data answers at the new path on every worker, leases of the old path are revoked, any worker tells the status."""
    other = world.worker()
    world.write("sys/mounts/m", type="kv")
    world.write("m/a", k="v")
    token = world.issue("default", path="m/login")
    answer = world.answer(Operation.UPDATE, "sys/remount", {"from": "/m/", "to": "n"})
    assert answer.data is not None
    migration_id = answer.data["migration_id"]
    assert answer.warnings
    assert world.read("n/a", worker=other) == {"k": "v"}
    with pytest.raises(UnsupportedPath):
        world.read("m/a", worker=other)
    with pytest.raises(Exception, match="permission denied"):
        world.read("auth/token/lookup-self", token=token)
    assert world.read(f"sys/remount/status/{migration_id}", worker=other) == {
        "migration_id": migration_id,
        "migration_info": {"source_mount": "m/", "target_mount": "n/", "status": "success"},
    }
    with pytest.raises(NotFound):
        world.read("sys/remount/status/nosuch")


def test_interrupted_move_is_finished(world: World) -> None:
    """A move whose process was killed after the change of the table is finished by whoever comes next."""
    token = world.issue("default", path="m/login")
    row = msgspec.json.encode(Migration(source_mount="m/", target_mount="n/", status=IN_PROGRESS))
    world.first.store.run(lambda transaction: transaction.put(PREFIX + "one", row))
    world.first.remounts.finish_all()
    assert world.read("sys/remount/status/one")["migration_info"]["status"] == "success"
    with pytest.raises(Exception, match="permission denied"):
        world.read("auth/token/lookup-self", token=token)
