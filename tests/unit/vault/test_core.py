"""The pipeline: the order of its steps, and that nothing happens which is not on record."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.unit.vault.fault import RefusingBroker
from tests.unit.vault.modules.system.fakes import FakeClock, SystemRows
from tests.unit.vault.modules.system.world import ROOT, World
from vault.errors import (
    AuditFailed,
    DeniedByPolicy,
    IntegrityError,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    Sealed,
    StorageUnavailable,
    UnsupportedOperation,
    UnsupportedPath,
    VaultError,
)
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.secret import Secret
from vault.storage import budget
from vault.storage.physical import Change, Prepared, Row

CREATE, DELETE, LIST, PATCH, READ, UPDATE = (
    Operation.CREATE, Operation.DELETE, Operation.LIST, Operation.PATCH, Operation.READ, Operation.UPDATE,
)  # fmt: skip


def furnish(world: World) -> str:
    """Make something of everything; return a token."""
    world.write("sys/mounts/kv", type="kv")
    world.write("sys/mounts/kv2", type="kv-v2")
    world.write("kv/a", x="1")
    world.write("kv2/data/a", data={"x": "1"})
    world.write("sys/policies/acl/p", policy='path "x" { capabilities = ["read"] }')
    world.write("auth/token/roles/r", orphan=True)
    world.write("cubbyhole/a", x="1")
    return world.issue("default", ttl=600)


def changes(world: World, token: str) -> Mapping[str, tuple[Operation, str, Mapping[str, Any], int | None]]:
    """Return one request for every kind of change."""
    lease = f"auth/token/create/h{world.first.tokens.hash_id(token)}"
    wrapped = world.send(UPDATE, "sys/wrapping/wrap", {"a": 1}, wrap=60)
    assert wrapped is not None
    assert wrapped.wrap_info is not None
    wrapping = wrapped.wrap_info.token.reveal()
    return {
        "write": (UPDATE, "kv/a", {"x": "2"}, None),
        "create": (UPDATE, "kv/b", {"x": "2"}, None),
        "delete": (DELETE, "kv/a", {}, None),
        "write kv2": (UPDATE, "kv2/data/a", {"data": {"x": "2"}}, None),
        "patch": (PATCH, "kv2/data/a", {"data": {"y": "2"}}, None),
        "destroy": (UPDATE, "kv2/destroy/a", {"versions": [1]}, None),
        "cubbyhole": (UPDATE, "cubbyhole/a", {"x": "2"}, None),
        "policy": (UPDATE, "sys/policies/acl/p", {"policy": 'path "y" {}'}, None),
        "delete policy": (DELETE, "sys/policies/acl/p", {}, None),
        "mount": (UPDATE, "sys/mounts/new", {"type": "kv"}, None),
        "unmount": (DELETE, "sys/mounts/kv", {}, None),
        "tune": (UPDATE, "sys/mounts/kv/tune", {"description": "x"}, None),
        "remount": (UPDATE, "sys/remount", {"from": "kv", "to": "moved"}, None),
        "token": (UPDATE, "auth/token/create", {"policies": ["default"]}, None),
        "orphan": (UPDATE, "auth/token/create-orphan", {}, None),
        "renew": (UPDATE, "auth/token/renew", {"token": token, "increment": 900}, None),
        "revoke": (UPDATE, "auth/token/revoke", {"token": token}, None),
        "revoke accessor": (UPDATE, "auth/token/revoke-accessor", {"accessor": world.accessor(token)}, None),
        "revoke orphan": (UPDATE, "auth/token/revoke-orphan", {"token": token}, None),
        "revoke self": (UPDATE, "auth/token/revoke-self", {}, None),
        "role": (UPDATE, "auth/token/roles/r", {"orphan": False}, None),
        "delete role": (DELETE, "auth/token/roles/r", {}, None),
        "revoke lease": (UPDATE, "sys/leases/revoke", {"lease_id": lease}, None),
        "revoke prefix": (UPDATE, "sys/leases/revoke-prefix/auth", {}, None),
        "wrap": (READ, "kv/a", {}, 60),
        "unwrap": (UPDATE, "sys/wrapping/unwrap", {"token": wrapping}, None),
        "rewrap": (UPDATE, "sys/wrapping/rewrap", {"token": wrapping}, None),
        "seal": (UPDATE, "sys/seal", {}, None),
    }


@pytest.mark.parametrize("refused", ["request", "response"])
def test_what_is_not_on_record_does_not_happen(world: World, refused: str) -> None:
    """If no device takes the record of the request or of the answer, not one row and not the seal changes, whatever was asked."""
    token = furnish(world)
    requests = changes(world, token)
    broker = RefusingBroker(refused)
    object.__setattr__(world.first.core, "audit", broker)
    before, epoch = dict(world.rows.rows), world.page.read_seal().epoch
    for name, (operation, path, fields, wrap) in requests.items():
        with pytest.raises(AuditFailed):
            world.send(operation, path, fields, wrap=wrap)
        assert dict(world.rows.rows) == before, name
        assert world.page.read_seal().epoch == epoch, name
    broker.refused.clear()
    for name in ("write", "revoke", "wrap", "seal"):
        operation, path, fields, wrap = requests[name]
        world.send(operation, path, fields, wrap=wrap)
    assert dict(world.rows.rows) != before


@pytest.mark.parametrize("refused", ["request", "response"])
def test_secret_is_not_told_without_a_record(world: World, refused: str) -> None:
    """A read whose record is refused has no answer."""
    furnish(world)
    object.__setattr__(world.first.core, "audit", RefusingBroker(refused))
    with pytest.raises(AuditFailed):
        world.read("kv/a")


def test_refusals_stay_refusals_without_a_record(world: World) -> None:
    """A refusal that cannot be put on record is a failure of the audit, not an answer."""
    object.__setattr__(world.first.core, "audit", RefusingBroker("request", "response"))
    with pytest.raises(AuditFailed):
        world.read("kv/a", token="x")
    with pytest.raises(AuditFailed):
        world.first.core.refuse(Request(id="1", operation=READ, path="x"), InvalidRequest())


@pytest.mark.parametrize(
    ("operation", "path", "token", "kind"),
    [
        (READ, "sys/health", None, None),
        (READ, "auth/token/lookup-self", ROOT, None),
        (READ, "auth/token/lookup-self", None, PermissionDenied),
        (READ, "auth/token/lookup-self", "x", PermissionDenied),
        (READ, "nosuch/x", None, PermissionDenied),
        (READ, "nosuch/x", ROOT, UnsupportedPath),
        (READ, "sys/nosuch", ROOT, UnsupportedPath),
        (DELETE, "sys/mounts", ROOT, UnsupportedOperation),
        (READ, "auth/token/roles/nosuch", ROOT, NotFound),
        (UPDATE, "auth/token/renew", ROOT, InvalidRequest),
        (READ, "sys/mounts/", ROOT, InvalidRequest),
        (READ, "sys/mounts/", None, InvalidRequest),
    ],
)
def test_every_request_has_two_records(
    world: World, operation: Operation, path: str, token: str | None, kind: type[VaultError] | None
) -> None:
    """Allowed, denied, unknown, malformed: one record of the request and one of its answer, with the error that was told."""
    broker = RefusingBroker()
    object.__setattr__(world.first.core, "audit", broker)
    error = ""
    if kind is None:
        assert world.send(operation, path, {}, token=token)
    else:
        with pytest.raises(kind) as refusal:
            world.send(operation, path, {}, token=token)
        assert type(refusal.value) is kind
        error = str(refusal.value)
    assert [record for record, _ in broker.records] == ["request", "response"]
    assert broker.records[1] == ("response", error)


def test_undecodable_request_is_on_record(world: World) -> None:
    """With the error that was told, on an open and on a sealed server."""
    broker = RefusingBroker()
    object.__setattr__(world.first.core, "audit", broker)
    world.first.core.refuse(Request(id="1", operation=READ, path="x"), InvalidRequest("bad"))
    world.write("sys/seal")
    world.first.core.refuse(Request(id="1", operation=READ, path="x"), InvalidRequest("bad"))
    assert broker.records[1] == broker.records[-1] == ("response", "bad")


@pytest.mark.parametrize("path", ["kv/a/", "sys/mounts/", "auth/token/lookup-self/"])
@pytest.mark.parametrize("operation", [READ, UPDATE, DELETE, PATCH])
def test_folder_spelling_names_no_object(world: World, path: str, operation: Operation) -> None:
    """A path with a slash at its end is no other name of an object."""
    with pytest.raises(InvalidRequest, match="can only be listed"):
        world.send(operation, path, {})


def test_warnings_name_fields_and_not_values(world: World) -> None:
    """What nobody reads is named, where there is an answer."""
    answer = world.answer(UPDATE, "auth/token/create", {"policies": ["default"], "bogus": "canary"})
    assert [text for text in answer.warnings if "bogus" in text]
    assert "canary" not in "".join(answer.warnings)


def test_request_fields_select_no_operation(world: World) -> None:
    """Internal operations cannot be asked for by fields or headers."""
    furnish(world)
    request = Request(
        id="1", operation=READ, path="kv/a", token=Secret(ROOT), data={"operation": "delete", "_method": "DELETE", "help": "1"},
        headers={"x-http-method-override": "DELETE"},
    )  # fmt: skip
    answer = world.first.core.handle(request)
    assert answer is not None
    assert answer.data == {"x": "1"}
    assert world.read("kv/a") == {"x": "1"}


# -- storage faults -----------------------------------------------------------------------------------------------------


class LostCommit:
    """A commit whose acknowledgement never arrives."""

    def __init__(self, inner: Prepared, *, applied: bool, failure: VaultError) -> None:
        self._inner = inner
        self._applied = applied
        self._failure = failure
        self.created, self.removed = inner.created, inner.removed

    def commit(self) -> None:
        """Commit or not, and fail."""
        if self._applied:
            self._inner.commit()
        else:
            self._inner.rollback()
        raise self._failure

    def rollback(self) -> None:
        """Drop the changes."""
        self._inner.rollback()


class FaultyRows(SystemRows):
    """Rows whose next commit is lost."""

    make: Callable[[Prepared], Prepared] | None = None

    def prepare(self, version: int, changes: Sequence[Change], prefixes: Sequence[str], notice: str = "") -> Prepared:
        prepared = super().prepare(version, changes, prefixes, notice)
        return prepared if self.make is None else self.make(prepared)


class FaultyWorld(World):
    """A server over such rows."""

    def __init__(self) -> None:
        super().__init__()
        self.faulty = FaultyRows()
        self.faulty.__dict__.update(self.rows.__dict__)
        self.rows = self.faulty
        for store in (self.first.store,):
            store.physical = self.rows


@pytest.mark.parametrize(("failure", "applied"), [(OutcomeUnknown(), True), (OutcomeUnknown(), False), (StorageUnavailable(), False)])
def test_lost_commit_is_amended_on_record(failure: VaultError, applied: bool) -> None:
    """The answer was on record already: a third record tells that it may not have come about; effects do not run."""
    world = FaultyWorld()
    broker = RefusingBroker()
    object.__setattr__(world.first.core, "audit", broker)
    token = world.issue("default")
    world.faulty.make = lambda prepared: LostCommit(prepared, applied=applied, failure=failure)
    with pytest.raises(type(failure)):
        world.send(UPDATE, "auth/token/revoke", {"token": token})
    assert broker.records == [("request", ""), ("response", ""), ("outcome", str(failure))]
    world.faulty.make = None
    key = world.first.tokens.hash_id(token)
    row = world.first.tokens.find_row(world.first.store.read(), key)
    assert row is not None
    assert row.revoked is applied


def test_failed_effect_is_amended_on_record(world: World) -> None:
    """The commit stands, the work after it did not end: the client and the record are told."""
    broker = RefusingBroker()
    object.__setattr__(world.first.core, "audit", broker)
    token = world.issue("default")

    backend = world.first.mounts.registry.backends["auth", "token"][""]
    handler = next(row for row in backend.paths if row.patterns == ("revoke",)).operations[UPDATE].handler
    handler.__self__._revoker = type("Broken", (), {"revoke_tree": staticmethod(_fail)})()  # type: ignore[attr-defined]
    with pytest.raises(StorageUnavailable):
        world.send(UPDATE, "auth/token/revoke", {"token": token})
    assert [record for record, _ in broker.records] == ["request", "response", "outcome"]
    with pytest.raises(PermissionDenied):
        world.read("auth/token/lookup-self", token=token)


def test_answer_survives_the_end_of_its_token(world: World) -> None:
    """If the spent token cannot be cleared away now, the answer of its last use is given all the same."""
    token = world.issue("default", uses_left=1)
    object.__setattr__(world.first.core, "revoker", type("Broken", (), {"revoke_tree": staticmethod(_fail)})())
    assert world.read("auth/token/lookup-self", token=token)
    with pytest.raises(PermissionDenied):
        world.read("auth/token/lookup-self", token=token)


def _fail(_key: str) -> None:
    raise StorageUnavailable


def test_damaged_row_fails_closed(world: World) -> None:
    """A row that does not decrypt is an error, never an absence: no policy, mount or token is skipped."""
    furnish(world)
    token = world.holder('path "kv/*" { capabilities = ["read"] } path "kv/a" { capabilities = ["deny"] }')
    found = world.answer(UPDATE, "auth/token/lookup", {"token": token}).data
    assert found is not None
    name = found["policies"][0]
    path = next(path for path in world.rows.rows if path.endswith(f"/{name}"))
    _damage(world, path)
    other = world.worker()
    with pytest.raises(IntegrityError):
        world.read("kv/a", token=token, worker=other)


def _damage(world: World, path: str) -> None:
    world.rows.prepare(1, [Change(path=path, value=b"\x01" + bytes(60))], []).commit()
    world.page.generations.move_all()


def test_sealed_is_told_before_anything_else(world: World) -> None:
    """A sealed server looks at no token and no path."""
    world.first.seal.seal()
    for path in ("kv/a", "nosuch", "sys/mounts"):
        with pytest.raises(Sealed):
            world.read(path, token="x")


def test_denied_request_runs_no_handler(world: World) -> None:
    """Nor does it parse arguments: an invalid field of a denied request is a denial."""
    token = world.issue("default")
    with pytest.raises(DeniedByPolicy):
        world.send(UPDATE, "auth/token/create", {"num_uses": "garbage"}, token=token)


def test_time_is_the_same_for_the_whole_request(world: World) -> None:
    """Both forms of it."""
    clock = FakeClock()
    assert clock.now() == clock.now_ns() / 1e9
    made = world.answer(UPDATE, "auth/token/create", {"ttl": 60, "policies": ["default"]})
    assert made.auth is not None
    found = world.read("auth/token/lookup-self", token=made.auth.client_token.reveal())
    assert (found["ttl"], found["creation_ttl"], found["creation_time"]) == (60, 60, clock.ns // 10**9)


def test_request_has_one_time_for_the_storage(world: World) -> None:
    """All that a request asks of the storage, until its commit, shares one bound; what is done after the commit has its own."""
    seen: list[float | None] = []
    get = world.rows.get

    def spy(path: str) -> Row | None:
        seen.append(budget._local.ends_at)  # the bound that is in force
        return get(path)

    world.rows.get = spy  # type: ignore[method-assign]  # looks on
    world.first.store.cache.clear()
    token = world.issue("default", uses_left=2)
    seen.clear()
    assert world.read("auth/token/lookup-self", token=token, worker=world.worker())
    assert len(seen) > 3
    assert len(set(seen)) == 1
    assert seen[0] is not None
