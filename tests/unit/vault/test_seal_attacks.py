"""What an attacker, or bad luck, tries on the seal: planted and old rows, hung places, kills between a commit and the page."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import pytest

from tests.unit.vault.fault import RefusingBroker
from tests.unit.vault.holders import BARE, Holders
from tests.unit.vault.modules.system.fakes import SystemRows
from tests.unit.vault.modules.system.world import World
from tests.unit.vault.static_host import STATIC, StaticHost
from vault.crypto import aead
from vault.errors import AuditFailed, Conflict, IntegrityError, InvalidRequest, StorageUnavailable, VaultError
from vault.logical.operation import Operation
from vault.shares import CONFIG, GENERATION, KEYRING, REKEY, ROOT_KEY, SealConfig
from vault.storage.keyring import Keyring
from vault.storage.physical import Change, Prepared, Row, WriteConflict

GENERATE = "sys/generate-root"


@pytest.fixture
def host() -> Holders:
    """Return an open host."""
    return Holders()


def change(host: Holders, path: str, value: bytes) -> None:
    """Change a row behind the server's back; every worker hears of it."""
    stored = host.rows._rows.get(path)
    version = stored.row.version + 1 if stored else 1
    sample = stored or next(iter(host.rows._rows.values()))
    host.rows._rows[path] = replace(sample, row=Row(value, version))
    host.page.generations.bump_all()
    host.page.generations.settle(host.page.generations.doubt)


def plant(host: Holders) -> bytes:
    """Put a seal of the attacker's own in place of the server's; return its only share."""
    unseal_key, root_key = b"u" * 32, b"r" * 32
    change(host, CONFIG, msgspec.json.encode(SealConfig(shares=1, threshold=1)))
    change(host, ROOT_KEY, aead.seal(unseal_key, root_key, ROOT_KEY.encode()))
    change(host, KEYRING, aead.seal(root_key, Keyring.create().encode(), KEYRING.encode()))
    return unseal_key


# -- planted rows -----------------------------------------------------------------------------------------------------


def test_planted_lock_proves_nothing_to_an_open_server(host: Holders) -> None:
    """Who writes to the database, and knows no share, gets neither a root token nor new shares."""
    begun = host.ask(Operation.UPDATE, f"{GENERATE}/attempt")
    nonce = host.start(1, 1)
    share = plant(host).hex()
    for path, name in ((f"{GENERATE}/update", begun["nonce"]), (f"{BARE}/update", nonce)):
        before = dict(host.rows.rows)
        with pytest.raises(VaultError):
            host.ask(Operation.UPDATE, path, key=share, nonce=name)
        assert dict(host.rows.rows) == before


def test_planted_lock_does_not_open_a_sealed_server(host: Holders) -> None:
    """The shares of the attacker open a root key, and that a keyring, and that no row of this server."""
    host.write("sys/seal", token=host.root)
    share = plant(host).hex()
    with pytest.raises(IntegrityError):
        host.give(share)
    assert host.page.read_seal().sealed


def test_rekey_does_not_settle_for_a_keyring_that_somebody_put_back(host: Holders) -> None:
    """It would seal the loss of the newer keys for good: as a rotation, it is refused until the row is repaired."""
    old = host.rows.rows[KEYRING].value
    host.write("sys/rotate", token=host.root)
    good = host.rows.rows[KEYRING].value
    nonces = [host.start(3, 2)]
    change(host, KEYRING, old)
    for key in host.keys[:2]:
        host.offer(nonces[0], key)
    with pytest.raises(Conflict):
        host.offer(nonces[0], host.keys[2])
    change(host, KEYRING, good)
    assert host.offer(nonces[0], host.keys[2])["complete"]


def test_verified_rekey_does_not_settle_for_it_either(host: Holders) -> None:
    """Its second half replaces the keyring row as well."""
    old = host.rows.rows[KEYRING].value
    host.write("sys/rotate", token=host.root)
    data: dict[str, Any] = {}
    nonce = host.start(1, 1, require_verification=True)
    for key in host.keys[:3]:
        data = host.offer(nonce, key)
    change(host, KEYRING, old)
    with pytest.raises(Conflict):
        host.ask(Operation.UPDATE, f"{BARE}/verify", key=data["keys"][0], nonce=data["verification_nonce"])


def test_shares_that_are_over_at_the_commit_make_no_root_token(host: Holders, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rekey that ends while a generation is being committed comes first."""
    nonce, prepare, other = host.start(3, 2), host.rows.prepare, host.worker()
    begun = host.ask(Operation.UPDATE, f"{GENERATE}/attempt")
    for key in host.keys[:2]:
        host.offer(nonce, key)
        host.ask(Operation.UPDATE, f"{GENERATE}/update", key=key, nonce=begun["nonce"])

    def rekey_first(*args: Any) -> Prepared:
        monkeypatch.setattr(host.rows, "prepare", prepare)
        answer = host.send(Operation.UPDATE, f"{BARE}/update", {"key": host.keys[2], "nonce": nonce}, token=host.root, worker=other)
        assert answer is not None
        assert answer.sent is not None
        answer.sent()
        return prepare(*args)

    monkeypatch.setattr(host.rows, "prepare", rekey_first)
    with pytest.raises(InvalidRequest, match="root generation failed"):
        host.ask(Operation.UPDATE, f"{GENERATE}/update", key=host.keys[2], nonce=begun["nonce"])


# -- a rekey and a migration ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_kept", [False, True])
def test_rekey_begun_before_a_migration_does_not_undo_it(*, is_kept: bool) -> None:
    """Its swap would put a lock of shares in place of the static one. A migration forgets it; one that is there all the same is refused."""
    shamir = StaticHost(None)
    keys = shamir.init()["keys"]
    shamir.give_all(keys[:3])
    nonce = shamir.write("sys/rekey/init", secret_shares=3, secret_threshold=2).data["nonce"]
    shamir.write("sys/generate-root/attempt")
    kept = dict(shamir.rows._rows)
    static = StaticHost(STATIC, shamir.rows)
    assert static.migrate(keys[:3])["sealed"] is False
    assert not {REKEY, GENERATION} & static.rows.rows.keys()
    if is_kept:
        static.rows._rows[REKEY] = kept[REKEY]
        static.hear()
    before = dict(static.rows.rows)
    for key in keys[:3]:
        with pytest.raises(InvalidRequest):
            static.write("sys/rekey/update", key=key, nonce=nonce)
    assert dict(static.rows.rows) == before


# -- an unseal that was not committed ----------------------------------------------------------------------------------


def to_migrate(rows: SystemRows) -> tuple[StaticHost, list[str]]:
    """Return a sealed host whose migration is due, and the shares."""
    first = StaticHost(None, rows)
    return StaticHost(STATIC, rows), first.init()["keys"]


class WatchedRows(SystemRows):
    """Rows whose writers are looked at when they could be killed: at each commit."""

    host: StaticHost | None = None

    def prepare(self, version: int, changes: Sequence[Change], prefixes: Sequence[str], notice: str = "") -> Prepared:
        if self.host is not None:
            self.seen.append(self.host.page.read_seal().sealed)
        return super().prepare(version, changes, prefixes, notice)

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bool] = []


def test_migration_opens_the_host_after_its_commit() -> None:
    """So a kill before it leaves no open server whose migration is still due."""
    rows = WatchedRows()
    host, keys = to_migrate(rows)
    rows.host = host
    assert host.migrate(keys[:3])["sealed"] is False
    assert rows.seen == [True]
    assert host.is_serving()


def test_migration_that_is_not_on_record_leaves_the_host_sealed() -> None:
    """And the seal as it was."""
    host, keys = to_migrate(SystemRows())
    host.migrate(keys[:2])
    before = dict(host.rows.rows)
    object.__setattr__(host.first.core, "audit", RefusingBroker("response"))
    with pytest.raises(AuditFailed):
        host.migrate(keys[2:3])
    assert host.page.read_seal().sealed
    assert dict(host.rows.rows) == before


class ContendedRows(SystemRows):
    """Rows of which one was changed by somebody else just before."""

    is_contended = False

    def prepare(self, version: int, changes: Sequence[Change], prefixes: Sequence[str], notice: str = "") -> Prepared:
        if self.is_contended:
            self.is_contended = False
            raise WriteConflict(ROOT_KEY)
        return super().prepare(version, changes, prefixes, notice)


def test_migration_that_met_another_writer_is_done_all_the_same() -> None:
    """The second attempt does what the first could not."""
    rows = ContendedRows()
    host, keys = to_migrate(rows)
    rows.is_contended = True
    assert host.migrate(keys[:3])["migration"] is False
    assert msgspec.json.decode(rows.rows[CONFIG].value)["kind"] == "static"


def test_refused_share_does_not_seal_a_host_that_others_opened() -> None:
    """Its undo forgets shares; it is no way to seal a server without a token."""
    host = Holders()
    host.write("sys/seal", token=host.root)
    other, waiting = host.worker(), host.keys[1:4]

    class Slow(RefusingBroker):
        """Devices that refuse, but not before others have unsealed."""

        def record(self, kind: str, members: Any, error: str = "", path: str = "", seconds: float = 5.0, *, vital: bool = False) -> None:
            if kind == "response":
                for key in waiting:
                    host.give(key, other)
                waiting.clear()
            super().record(kind, members, error, path, seconds, vital=vital)

    object.__setattr__(host.first.core, "audit", Slow("response"))
    with pytest.raises(AuditFailed):
        host.give(host.keys[0])
    assert not host.page.read_seal().sealed


# -- sealing is urgent ------------------------------------------------------------------------------------------------


def wait(event: threading.Event) -> None:
    """Hang."""
    event.wait(30)


def test_seal_waits_for_no_checkpoint_that_hangs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys are wiped after a bounded time, whatever the place of checkpoints does."""
    monkeypatch.setattr("vault.limits.FAREWELL_SECONDS", 0.05)
    hung = threading.Event()
    world.first.seal.before_seal.append(partial(wait, hung))
    sealing = threading.Thread(target=world.write, args=("sys/seal",))
    sealing.start()
    sealing.join(10)
    assert not sealing.is_alive()
    assert world.page.read_seal().sealed
    hung.set()


def test_seal_does_not_wait_for_who_reads_the_database(host: Holders, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that takes a root key over asks the storage, which may hang, without holding the page."""
    hung, asked = threading.Event(), threading.Event()
    get = host.rows.get

    def hang(path: str) -> Any:
        if path == KEYRING and threading.current_thread() is taking:
            asked.set()
            hung.wait(30)
        return get(path)

    monkeypatch.setattr(host.rows, "get", hang)
    taking = threading.Thread(target=host.first.seal.root_key.adopt, args=(b"k" * 32,))
    taking.start()
    assert asked.wait(10)
    sealing = threading.Thread(target=host.first.seal.seal)
    sealing.start()
    sealing.join(5)
    is_done = not sealing.is_alive()
    hung.set()
    assert is_done
    taking.join()
    assert host.page.read_seal().sealed


# -- a root key of another host ---------------------------------------------------------------------------------------


def pair() -> tuple[Holders, Holders]:
    """Return two open hosts; no worker of the second has served anything yet."""
    host = Holders()
    other = Holders(host.rows)
    other.keys, other.root = host.keys, host.root
    other.page.write_unsealed(host.page.read_seal().root_key)
    return host, other


def test_host_without_an_open_worker_takes_the_root_key_over() -> None:
    """What hands it over is sealed by the former root key, which is in the page: no open barrier is needed, and no waiting."""
    host, other = pair()
    host.finish(host.start())
    assert other.ask(Operation.READ, "auth/token/lookup-self", other.worker())["policies"] == ["root"]
    assert other.page.read_seal().root_key == host.page.read_seal().root_key


def test_several_rekeys_in_a_row_are_taken_over() -> None:
    """Each root key is handed over by the one before it."""
    host, other = pair()
    keys = host.finish(host.start(5, 3))
    keys = host.finish(host.start(5, 3), keys)
    host.finish(host.start(5, 3), keys)
    assert other.ask(Operation.READ, "auth/token/lookup-self", other.worker())["policies"] == ["root"]


def test_handover_tells_nothing_without_the_former_root_key() -> None:
    """The row is not encrypted by the barrier, and holds no key in the clear."""
    host, _ = pair()
    host.finish(host.start())
    new = host.page.read_seal().root_key
    for path, row in host.rows.rows.items():
        assert new not in row.value, path


def test_storage_that_fails_after_the_commit_does_not_cost_the_answer(host: Holders, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the only copy of the new shares; the page follows later."""
    get, prepare = host.rows.get, host.rows.prepare
    down = threading.Event()

    def fail(path: str) -> Any:
        if down.is_set():
            raise StorageUnavailable
        return get(path)

    def commit(*args: Any) -> Prepared:
        prepared = prepare(*args)
        down.set()
        return prepared

    nonce = host.start(3, 2)
    for key in host.keys[:2]:
        host.offer(nonce, key)
    monkeypatch.setattr(host.rows, "get", fail)
    monkeypatch.setattr(host.rows, "prepare", commit)
    assert len(host.offer(nonce, host.keys[2])["keys"]) == 3
    down.clear()
    assert host.ask(Operation.READ, "auth/token/lookup-self", host.worker())["policies"] == ["root"]
