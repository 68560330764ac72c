"""The data keys: rotation never loses one, every worker finds the new one, and the service rotates by itself when it is time."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.vault.fault import DyingRunner, Killed
from tests.unit.vault.modules.system.worker import Worker
from tests.unit.vault.modules.system.world import ROOT, World
from tests.unit.vault.test_mounts import in_parallel
from vault.crypto import aead
from vault.errors import Conflict, IntegrityError, InvalidRequest, PermissionDenied, Sealed
from vault.expiry import Fenced, Leadership, LeadershipLost
from vault.handover import extend
from vault.logical.operation import Operation
from vault.shares import KEYRING
from vault.storage.keyring import Keyring
from vault.storage.physical import Row

DEFAULT = {"max_operations": 3_865_470_566, "interval": 0, "enabled": True}


@pytest.fixture
def kv(world: World) -> World:
    """Return a server with secrets at kv/."""
    world.write("sys/mounts/kv", type="kv")
    return world


def term_of(world: World, path: str) -> int:
    """Return the term of the key that a row is sealed by."""
    return int.from_bytes(world.rows.rows[path].value[1:5], "big")


def kv_row(world: World, name: str) -> str:
    """Return the path of a secret's row."""
    return next(path for path in world.rows.rows if path.startswith("logical/") and path.endswith(f"/{name}"))


def status(world: World, worker: Worker | None = None) -> Any:
    """Return which key is in use."""
    return world.read("sys/key-status", worker=worker)


def plant(world: World, path: str, value: bytes) -> None:
    """Change a row behind the server's back, and let every worker look again."""
    stored = world.rows._rows[path]
    world.rows._rows[path] = replace(stored, row=Row(value, stored.row.version + 1))
    world.page.generations.bump_all()
    world.page.generations.settle(world.page.generations.doubt)


# -- by request --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["sys/rotate", "sys/rotate/keyring"])
def test_rotation_needs_sudo(world: World, path: str) -> None:
    """An update capability alone is refused, and so is no token."""
    holder = world.holder('path "sys/*" { capabilities = ["read", "update"] }')
    for token in (holder, None, "nosuch"):
        with pytest.raises(PermissionDenied):
            world.write(path, token=token)
    assert status(world)["term"] == 1


def test_rotation_while_sealed_is_refused(world: World) -> None:
    """Nobody without the root key adds a key."""
    world.first.seal.seal()
    before = dict(world.rows.rows)
    for path in ("sys/rotate", "sys/rotate/keyring"):
        with pytest.raises(Sealed):
            world.write(path)
    with pytest.raises(Sealed):
        world.first.store.run(world.first.seal.rotate)
    assert dict(world.rows.rows) == before


def test_old_rows_stay_readable_and_new_ones_have_the_new_key(kv: World) -> None:
    """Through many rotations, for the worker that rotated and for a fresh one."""
    for number in range(1, 6):
        assert status(kv)["term"] == number
        kv.write(f"kv/s{number}", v=str(number))
        assert term_of(kv, kv_row(kv, f"s{number}")) == number
        assert kv.write("sys/rotate" if number % 2 else "sys/rotate/keyring") is None
    for worker in (kv.first, kv.worker()):
        assert [kv.read(f"kv/s{number}", worker=worker) for number in range(1, 6)] == [{"v": str(number)} for number in range(1, 6)]


def test_install_time_is_that_of_the_key_in_use(world: World) -> None:
    """Each term has its own."""
    first = status(world)["install_time"]
    world.clock.advance(3600.5)
    assert status(world)["install_time"] == first
    world.write("sys/rotate")
    assert (first, status(world)["install_time"]) == ("2023-11-14T22:13:20Z", "2023-11-14T23:13:20.5Z")


def test_worker_that_meets_an_unknown_key_asks_for_the_keyring(kv: World) -> None:
    """It reads what another worker wrote after a rotation; its own writes may go on under the old key until it has looked."""
    other = kv.worker()
    assert other.seal.is_open()
    kv.write("kv/before", v="0", worker=other)
    kv.write("sys/rotate")
    kv.write("kv/a", v="1", worker=other)
    assert term_of(kv, kv_row(kv, "a")) == 1
    kv.write("kv/b", v="2")
    assert term_of(kv, kv_row(kv, "b")) == 2
    assert kv.read("kv/b", worker=other) == {"v": "2"}
    kv.write("kv/c", v="3", worker=other)
    assert term_of(kv, kv_row(kv, "c")) == 2
    assert kv.read("kv/a") == {"v": "1"}


def test_worker_that_only_writes_takes_the_new_key_in_its_next_round(kv: World) -> None:
    """Else it would wear out the old one."""
    other = kv.worker()
    kv.write("kv/a", v="0", worker=other)
    kv.write("sys/rotate")
    other.seal.follow_keyring()
    kv.write("kv/a", v="1", worker=other)
    assert term_of(kv, kv_row(kv, "a")) == 2


def test_row_of_a_term_that_nobody_made_is_damaged(kv: World) -> None:
    """The keyring is asked for once, and the row is refused."""
    kv.write("kv/a", v="1")
    path = kv_row(kv, "a")
    value = kv.rows.rows[path].value
    plant(kv, path, value[:1] + (9).to_bytes(4, "big") + value[5:])
    reads = kv.rows.reads
    with pytest.raises(IntegrityError):
        kv.first.store.load(path)
    assert kv.rows.reads == reads + 2


def test_simultaneous_rotations_lose_no_key(kv: World) -> None:
    """Many workers rotate and write at once: every row that was ever written can be read by a fresh worker."""
    workers = [kv.worker() for _ in range(4)]

    def rotate(number: int) -> None:
        for turn in range(5):
            kv.write("sys/rotate", worker=workers[number])
            kv.write(f"kv/s{number}-{turn}", v=f"{number}-{turn}", worker=workers[number])

    assert in_parallel([lambda number=number: rotate(number) for number in range(4)]) == [None] * 4  # type: ignore[misc]
    fresh = kv.worker()
    assert status(kv, fresh)["term"] == 21
    for number in range(4):
        for turn in range(5):
            assert kv.read(f"kv/s{number}-{turn}", worker=fresh) == {"v": f"{number}-{turn}"}


def test_rotation_that_was_overtaken_starts_again(kv: World) -> None:
    """It adds to the keyring that the other one has written, and what that one's key sealed stays readable."""
    other, turns = kv.worker(), []

    def work(transaction: Any) -> None:
        kv.first.seal.rotate(transaction)
        turns.append(1)
        if len(turns) == 1:
            kv.write("sys/rotate", worker=other)
            kv.write("kv/a", v="1", worker=other)

    kv.first.store.run(work)
    assert len(turns) == 2
    fresh = kv.worker()
    assert (status(kv, fresh)["term"], term_of(kv, kv_row(kv, "a"))) == (3, 2)
    assert kv.read("kv/a", worker=fresh) == {"v": "1"}


def test_old_keyring_put_back_is_neither_taken_nor_extended(kv: World) -> None:
    """A stored keyring that lacks a key in use is left alone: a rotation from there would give one term two keys."""
    old = kv.rows.rows[KEYRING].value
    kv.write("sys/rotate")
    kv.write("kv/a", v="1")
    plant(kv, KEYRING, old)
    kv.first.seal.follow_keyring()
    assert kv.read("kv/a") == {"v": "1"}
    with pytest.raises(Conflict):
        kv.write("sys/rotate")
    assert kv.rows.rows[KEYRING].value == old


@pytest.mark.parametrize("value", [b"", b"x" * 100])
def test_damaged_keyring_is_refused(world: World, value: bytes) -> None:
    """Nothing is rotated from it."""
    plant(world, KEYRING, value)
    with pytest.raises((IntegrityError, Sealed)):
        world.write("sys/rotate")
    assert world.rows.rows[KEYRING].value == value


def test_refresh_after_a_seal_opens_nothing(world: World) -> None:
    """A reader that was on its way to the keyring when the host was sealed does not bring the keys back."""
    world.write("sys/seal")
    world.first.seal.refresh_keyring()
    assert not world.first.store.barrier.is_open


def test_seal_in_the_midst_of_a_refresh_leaves_no_key(world: World) -> None:
    """The keys that were about to be taken are dropped again."""
    barrier = world.first.store.barrier

    def seal_first(_: object) -> bool:
        world.first.seal.seal()
        return True

    barrier.is_covered_by = seal_first  # type: ignore[method-assign, assignment]
    world.first.seal.refresh_keyring()
    assert not barrier.is_open


def test_rotation_right_after_a_rekey_keeps_the_new_root_key(kv: World) -> None:
    """The keyring stays sealed by the root key that it was read with, also where the page does not hold that one as its own yet."""
    old, new = kv.page.read_seal().root_key, bytes(range(32))
    keyring = aead.open_sealed(old, kv.rows.rows[KEYRING].value, KEYRING.encode())
    kv.first.store.run(lambda transaction: extend(transaction, old, new, kv.clock.now()))
    plant(kv, KEYRING, aead.seal(new, keyring, KEYRING.encode()))
    kv.write("sys/rotate")
    rotated = Keyring.decode(aead.open_sealed(new, kv.rows.rows[KEYRING].value, KEYRING.encode()))
    assert rotated.active == 2


# -- when to rotate ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"max_operations": 999_999}, {"max_operations": 0}, {"max_operations": -5}, {"max_operations": 3_865_470_567},
        {"max_operations": "abc"}, {"interval": "1h"}, {"interval": 1}, {"interval": -1}, {"interval": "xx"}, {"enabled": "maybe"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["sys/rotate/config", "sys/rotate/keyring/config"])
def test_wrong_configuration_is_refused(world: World, path: str, fields: dict[str, Any]) -> None:
    """And changes nothing."""
    with pytest.raises(InvalidRequest):
        world.write(path, **fields)
    assert world.read(path) == DEFAULT


def test_configuration_keeps_what_is_not_given(world: World) -> None:
    """Both paths are one; an interval reads as Go prints it."""
    world.write("sys/rotate/config", max_operations="1000000")
    world.write("sys/rotate/keyring/config", interval="90061s")
    world.write("sys/rotate/config", enabled=False)
    world.write("sys/rotate/config")
    for path in ("sys/rotate/config", "sys/rotate/keyring/config"):
        assert world.read(path) == {"max_operations": 1_000_000, "interval": "25h1m1s", "enabled": False}
    world.write("sys/rotate/config", interval=0)
    assert world.read("sys/rotate/config")["interval"] == 0


def test_key_that_is_too_old_is_replaced(kv: World) -> None:
    """Once, at its age, unless that is switched off."""
    kv.write("sys/rotate/config", interval="24h", enabled=False)
    kv.clock.advance(24 * 3600)
    kv.work()
    assert status(kv)["term"] == 1
    kv.write("sys/rotate/config", enabled=True)
    kv.work()
    kv.work()
    assert status(kv)["term"] == 2
    kv.clock.advance(24 * 3600 - 1)
    kv.work()
    assert status(kv)["term"] == 2
    kv.clock.advance(1)
    kv.work()
    assert status(kv)["term"] == 3


def test_key_that_was_used_too_often_is_replaced(kv: World) -> None:
    """The uses of all workers count together."""
    kv.write("sys/rotate/config", max_operations=1_000_000)
    for worker in (kv.worker(), kv.worker()):
        assert worker.seal.is_open()
        worker.store.barrier.count({1: 499_000})
        kv.work()
        assert status(kv)["term"] == 1
        worker.rotation.note_uses()
    assert status(kv)["encryptions"] >= 998_000
    kv.first.store.barrier.count({1: 2_000})
    kv.first.rotation.note_uses()
    kv.work()
    kv.work()
    assert status(kv)["term"] == 2
    assert status(kv)["encryptions"] < 100
    assert kv.background is not None
    kv.write("kv/a", v="1", worker=kv.background)
    assert term_of(kv, kv_row(kv, "a")) == 2, "the worker that rotated uses the key at once"


def test_rotation_of_a_leader_that_was_replaced_does_not_happen(world: World) -> None:
    """It is fenced as all background work."""
    world.write("sys/rotate/config", interval="24h")
    world.clock.advance(24 * 3600)
    late, other = Leadership(world.first.store, world.clock), Leadership(world.first.store, world.clock)
    assert late.acquire()
    world.clock.advance(60)
    assert other.acquire()
    with pytest.raises(LeadershipLost):
        world.first.rotation.rotate_if_due(Fenced(world.first.store, late))
    assert status(world)["term"] == 1


@pytest.mark.parametrize("after", [False, True])
def test_killed_rotation_is_one_or_none(world: World, *, after: bool) -> None:
    """And the next round goes on from there."""
    world.write("sys/rotate/config", interval="24h")
    world.clock.advance(24 * 3600)
    with pytest.raises(Killed):
        world.first.rotation.rotate_if_due(DyingRunner(world.first.store, 1, after=after))
    world.work()
    world.work()
    assert status(world)["term"] == 2
    assert world.read("auth/token/lookup-self", worker=world.worker())["id"] == ROOT


def test_rotation_is_not_for_the_uninvited(world: World) -> None:
    """Key status and configuration need a token with the right."""
    weak = world.issue("default")
    for operation, path in (
        (Operation.READ, "sys/key-status"),
        (Operation.READ, "sys/rotate/config"),
        (Operation.UPDATE, "sys/rotate/config"),
        (Operation.UPDATE, "sys/rotate"),
    ):
        for token in (weak, None):
            with pytest.raises(PermissionDenied):
                world.send(operation, path, {}, token=token)
