"""Operations, mounts and tokens: the little that they decide themselves."""

import pytest

from vault import limits
from vault.logical.mount import Mount, MountConfig
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.logical.token import Token
from vault.secret import Secret


def test_operations_that_carry_a_body() -> None:
    """Writes have bodies, listings name folders, nothing does both."""
    assert {operation for operation in Operation if operation.writes} == {Operation.CREATE, Operation.UPDATE, Operation.PATCH}
    assert {operation for operation in Operation if operation.enumerates} == {Operation.LIST, Operation.SCAN}


@pytest.mark.parametrize(
    ("default", "longest", "expected"),
    [
        (0, 0, (limits.DEFAULT_LEASE_SECONDS, limits.MAX_LEASE_SECONDS)),
        (60, 0, (60, limits.MAX_LEASE_SECONDS)),
        (0, 60, (60, 60)),
        (90, 60, (60, 60)),
        (30, 60, (30, 60)),
    ],
)
def test_lease_times_of_a_mount(default: int, longest: int, expected: tuple[int, int]) -> None:
    """Zero means the system's; a default never exceeds the maximum."""
    config = MountConfig(default_lease_seconds=default, max_lease_seconds=longest)
    mount = Mount(path="a/", kind="kv", uuid="u", accessor="x", config=config)
    assert (mount.default_lease_seconds, mount.max_lease_seconds) == expected


def test_data_lies_under_the_uuid() -> None:
    """Not under the path: a mount made anew sees nothing of the old one, a moved one everything."""
    first, second = (Mount(path="a/", kind="kv", uuid=uuid, accessor="x") for uuid in ("u1", "u2"))
    assert first.storage_prefix != second.storage_prefix
    assert not first.storage_prefix.startswith(second.storage_prefix)


@pytest.mark.parametrize(
    ("policies", "root"), [(("root",), True), (("default", "root"), True), (("ROOT",), False), (("r00t", "rooty"), False), ((), False)]
)
def test_root_is_one_name(policies: tuple[str, ...], root: bool) -> None:
    """Nothing that looks like it."""
    assert Token(key="k", policies=policies, path="p", creation_time=0).is_root is root


def test_requests_show_no_token() -> None:
    """And cannot be changed on their way."""
    request = Request(
        id="1", operation=Operation.READ, path="x", token=Secret("canary"), headers={"x-vault-token": "canary"}, data={"a": "canary"}
    )
    assert "canary" not in repr(request)
    with pytest.raises(AttributeError, match="immutable"):
        request.path = "y"  # type: ignore[misc]  # that it is refused is the point


def test_stored_token_has_no_id() -> None:
    """Only a keyed hash of it."""
    assert "id" not in {*Token.__struct_fields__}
