"""Init, unseal and seal: one state for all workers of a host, and no plain text once it is closed."""

import itertools
from functools import partial
from typing import Any

import pytest

from tests.unit.vault.fault import RefusingBroker
from tests.unit.vault.modules.system.fakes import FakeClock, Lines, SystemRows
from tests.unit.vault.modules.system.worker import Worker
from tests.unit.vault.modules.system.world import World
from tests.unit.vault.test_mounts import in_parallel
from vault.errors import AuditFailed, InvalidRequest, PermissionDenied, Sealed
from vault.expiry import LEADER
from vault.logical.operation import Operation
from vault.shares import parse_share


class Host(World):
    """A host whose server is not initialised yet; several may share their rows."""

    def __init__(self, rows: SystemRows | None = None) -> None:
        from vault.host import HostPage

        self.rows = self.physical = rows or SystemRows()
        self.page, self.clock = HostPage(), FakeClock()
        self.audit_dir, self.declared, self.place = "", (), Lines()
        self.background = None
        self._requests = 0
        self.first = Worker(self)

    def init(self, shares: int = 5, threshold: int = 3, worker: Worker | None = None) -> Any:
        """Initialise; return the answer's data."""
        answer = self.send(
            Operation.UPDATE, "sys/init", {"secret_shares": shares, "secret_threshold": threshold}, token=None, worker=worker
        )
        assert answer is not None
        return answer.data

    def give(self, key: str, worker: Worker | None = None) -> Any:
        """Give one share; return the answer's data."""
        answer = self.send(Operation.UPDATE, "sys/unseal", {"key": key}, token=None, worker=worker)
        assert answer is not None
        return answer.data

    def status(self, worker: Worker | None = None) -> Any:
        """Return the state of the seal."""
        return self.read("sys/seal-status", token=None, worker=worker)


@pytest.fixture
def host() -> Host:
    """Return a host before init."""
    return Host()


# -- init -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shares", "threshold"), [(0, 0), (1, 0), (0, 1), (1, 2), (3, 1), (3, 4), (256, 3), (-1, -1), (5, -3), (2**62, 2)])
def test_bad_splits_are_refused(host: Host, shares: int, threshold: int) -> None:
    """Nothing is stored for them."""
    with pytest.raises(InvalidRequest):
        host.init(shares, threshold)
    assert host.rows.rows == {}


def test_init_works_once(host: Host) -> None:
    """The second answer has no keys; the shares and the root token of the first one work."""
    made = host.init()
    before = dict(host.rows.rows)
    for worker in (host.first, host.worker()):
        with pytest.raises(InvalidRequest, match="already initialized"):
            host.init(worker=worker)
    assert dict(host.rows.rows) == before
    assert host.status()["sealed"]
    for key in made["keys"][:3]:
        host.give(key)
    assert host.read("auth/token/lookup-self", token=made["root_token"])["policies"] == ["root"]


def test_concurrent_init_over_hosts_answers_keys_once() -> None:
    """Of many calls on several hosts and workers one gets keys, and they open every host."""
    first = Host()
    second = Host(first.rows)
    calls = [(host, host.worker()) for host in (first, second) for _ in range(6)]
    results = in_parallel([lambda host=host, worker=worker: host.init(worker=worker) for host, worker in calls])  # type: ignore[misc]
    made = [result for result in results if isinstance(result, dict)]
    assert len(made) == 1
    assert all(isinstance(result, InvalidRequest) for result in results if result is not made[0])
    for host in (first, second):
        for key in made[0]["keys"][2:]:
            host.give(key)
        assert host.read("auth/token/lookup-self", token=made[0]["root_token"])


def test_init_serves_nobody_while_it_is_at_work(host: Host) -> None:
    """The barrier is open for the rows of init alone: requests and background work of the same worker see a sealed server."""
    seen = [host.first.seal.is_open()]

    def populate(transaction: Any) -> None:
        assert host.first.store.barrier.is_open
        seen.append(host.first.seal.is_open())
        host.populate(host.first, transaction)

    host.first.store.run(lambda transaction: host.first.seal.initialize(transaction, 1, 1, populate))
    assert seen == [False, False]
    assert not host.first.store.barrier.is_open
    assert LEADER not in host.rows.rows
    with pytest.raises(Sealed):
        host.first.seal.token_key()


def test_init_does_not_close_a_host_that_others_opened() -> None:
    """A late init on a host that is open by then is refused, and the host stays open."""
    host = Host()
    made = host.first.store.run(lambda transaction: host.first.seal.initialize(transaction, 1, 1, partial(host.populate, host.first)))
    opening = host.first.seal.unseal(host.first.store.read(), made.shares[0])
    assert opening is not None
    host.first.seal.open(opening)
    host.first.seal.require_open()
    late = host.first.store.read()
    late._reads["core/seal-config"] = None
    with pytest.raises(InvalidRequest, match="already initialized"):
        host.first.seal.initialize(late, 1, 1, partial(host.populate, host.first))
    host.first.seal.require_open()
    assert host.read("auth/token/lookup-self")


def test_init_that_is_not_on_record_did_not_happen(host: Host) -> None:
    """Without the response record there are no keys, and the next call works."""
    object.__setattr__(host.first.core, "audit", RefusingBroker("response"))
    with pytest.raises(AuditFailed):
        host.init()
    assert host.rows.rows == {}
    assert len(host.init(worker=host.worker())["keys"]) == 5


# -- unseal -----------------------------------------------------------------------------------------------------------


def test_unseal_needs_init(host: Host) -> None:
    """There is nothing to open before."""
    with pytest.raises(InvalidRequest, match="not initialized"):
        host.give("00" * 33)


@pytest.mark.parametrize("key", ["", "zz", "00" * 15, "00" * 34, "AA=A", "é", "00" * 5000])
def test_what_is_no_share_is_refused(host: Host, key: str) -> None:
    """And counts for nothing."""
    host.init()
    with pytest.raises(InvalidRequest) as refusal:
        host.give(key)
    assert not key or key not in str(refusal.value)
    assert host.status()["progress"] == 0


def test_shares_on_different_workers_open_all(host: Host) -> None:
    """Progress is one state; the same share twice counts once, in hex and in base64; the nonce stays for one attempt."""
    made = host.init()
    workers = [host.worker() for _ in range(3)]
    first = host.give(made["keys"][0], workers[0])
    assert (first["progress"], first["sealed"]) == (1, True)
    assert host.give(made["keys"][0], workers[1])["progress"] == 1
    assert host.give(made["keys_base64"][0], workers[2])["progress"] == 1
    second = host.give(made["keys"][3], workers[1])
    assert (second["progress"], second["nonce"]) == (2, first["nonce"])
    last = host.give(made["keys_base64"][1], workers[2])
    assert (last["progress"], last["sealed"], last["nonce"]) == (0, False, "")
    assert last["cluster_name"]
    for worker in (*workers, host.first):
        assert host.read("auth/token/lookup-self", token=made["root_token"], worker=worker)


@pytest.mark.parametrize("lengths", [(33, 33), (16, 33), (17, 18), (32, 16)])
def test_wrong_set_is_forgotten(host: Host, lengths: tuple[int, int]) -> None:
    """Shares of the right and of mixed lengths that do not belong together reset the attempt; none of them is judged alone."""
    made = host.init()
    assert host.give(made["keys"][0])["progress"] == 1
    assert host.give("07" * lengths[0])["progress"] == 2
    with pytest.raises(InvalidRequest, match="unseal failed"):
        host.give("09" * lengths[1])
    status = host.status()
    assert (status["sealed"], status["progress"], status["nonce"]) == (True, 0, "")
    for key in made["keys"][:3]:
        host.give(key)
    assert not host.status()["sealed"]


@pytest.mark.parametrize("length", range(16, 34))
def test_wrong_single_key_leaves_nothing(length: int) -> None:
    """A key of any length that is not the key opens nothing."""
    host = Host()
    host.init(1, 1)
    with pytest.raises(InvalidRequest, match="unseal failed"):
        host.give("ab" * length)
    assert host.page.read_seal().root_key == b""
    assert host.status()["sealed"]


def test_every_sufficient_set_opens(host: Host) -> None:
    """Any three of five, in any order."""
    made = host.init()
    for keys in itertools.combinations(made["keys"], 3):
        for key in reversed(keys):
            host.give(key)
        assert not host.status()["sealed"]
        host.first.seal.seal()


def test_unseal_while_open_changes_nothing(world: World) -> None:
    """Not even for garbage: the answer is the state."""
    epoch = world.page.read_seal().epoch
    answer = world.send(Operation.UPDATE, "sys/unseal", {"key": "ab" * 32}, token=None)
    assert answer is not None
    assert answer.data is not None
    assert answer.data["sealed"] is False
    with pytest.raises(InvalidRequest, match="unsealed"):
        world.send(Operation.UPDATE, "sys/unseal", {"reset": True}, token=None)
    assert world.page.read_seal().epoch == epoch


def test_reset_forgets_shares(host: Host) -> None:
    """On all workers."""
    made = host.init()
    host.give(made["keys"][0])
    host.send(Operation.UPDATE, "sys/unseal", {"reset": True}, token=None, worker=host.worker())
    assert host.status()["progress"] == 0
    assert host.page.read_seal().shares == ()


def test_unseal_that_is_not_on_record_did_not_happen(host: Host) -> None:
    """If no device takes the response record the host is sealed again, and knows no share."""
    made = host.init()
    object.__setattr__(host.first.core, "audit", RefusingBroker("response"))
    with pytest.raises(AuditFailed):
        host.give(made["keys"][0])
    assert host.page.read_seal().shares == ()
    other = host.worker()
    for key in made["keys"][:2]:
        host.give(key, other)
    with pytest.raises(AuditFailed):
        host.give(made["keys"][2])
    assert host.page.read_seal().sealed
    assert host.page.read_seal().root_key == b""


def test_refused_unseal_of_an_open_host_does_not_seal_it(world: World) -> None:
    """What did not change is not taken back."""
    object.__setattr__(world.first.core, "audit", RefusingBroker("response"))
    with pytest.raises(AuditFailed):
        world.send(Operation.UPDATE, "sys/unseal", {"key": world.share.hex()}, token=None)
    assert not world.page.read_seal().sealed


# -- seal -------------------------------------------------------------------------------------------------------------


def test_seal_is_seen_by_the_next_request_of_every_worker(world: World) -> None:
    """And none of them keeps plain text: no rows, no keys, no compiled policies, no token key."""
    workers = [world.first, world.worker(), world.worker()]
    token = world.holder('path "kv/*" { capabilities = ["read"] }')
    world.write("sys/mounts/kv", type="kv")
    world.write("kv/a", x="canary")
    for worker in workers:
        assert world.read("kv/a", token=token, worker=worker) == {"x": "canary"}
    world.write("sys/seal")
    for worker in workers:
        with pytest.raises(Sealed):
            world.read("kv/a", token=token, worker=worker)
        assert not worker.store.barrier.is_open
        assert worker.store.cache.find("core/mounts") == (False, None)
        assert not [key for key in worker.store.cache._items if not isinstance(key, tuple)]
        assert not worker.policies._compiled
        with pytest.raises(Sealed):
            worker.seal.token_key()
    assert world.page.read_seal().root_key == b""
    world.unseal()
    for worker in workers:
        assert world.read("kv/a", token=token, worker=worker) == {"x": "canary"}


def test_request_under_way_writes_nothing_after_the_seal(world: World) -> None:
    """A handler that was at work when the server was sealed does not commit."""
    world.write("sys/mounts/kv", type="kv")
    world.write("kv/a", x="1")
    before = dict(world.rows.rows)

    def late(transaction: Any) -> None:
        transaction.put("x/y", b"1")
        world.first.seal.seal()

    with pytest.raises(Sealed):
        world.first.store.run(late)
    assert dict(world.rows.rows) == before


def test_sealed_server_tells_nothing(world: World) -> None:
    """Every path but the few public ones gives one answer, whether it exists or not, with and without a token."""
    world.write("sys/seal")
    for path in ("kv/a", "nosuch/a", "sys/mounts", "auth/token/lookup-self", "sys/internal/ui/mounts", "sys/nosuch", "sys/wrapping/lookup"):
        for token in ("root-token", None, "x"):
            with pytest.raises(Sealed) as refusal:
                world.read(path, token=token)
            assert str(refusal.value) == "Vault is sealed"
    for path in ("sys/seal-status", "sys/health", "sys/leader", "sys/init"):
        assert world.read(path, token=None)


def test_seal_needs_sudo(world: World) -> None:
    """Without it the server stays open."""
    token = world.holder('path "sys/seal" { capabilities = ["update"] }')
    with pytest.raises(PermissionDenied):
        world.write("sys/seal", token=token)
    assert not world.page.read_seal().sealed


def test_use_limited_token_may_seal(world: World) -> None:
    """Clearing away its spent token fails on a sealed server, and that is no news to the holder."""
    token = world.issue("root", uses_left=1)
    world.write("sys/seal", token=token)
    assert world.page.read_seal().sealed
    world.unseal()
    world.clock.advance(11)
    world.work()
    assert world.first.tokens.find_row(world.first.store.read(), world.first.tokens.hash_id(token)) is None


def test_replaced_worker_serves_at_once(world: World) -> None:
    """The page is inherited: the first request of a new worker finds the server open, with all it needs."""
    assert world.read("auth/token/lookup-self", worker=world.worker())["policies"] == ["root"]


@pytest.mark.parametrize(("text", "share"), [("00ff", b"\0\xff"), ("AP8=", b"\0\xff"), ("00FF", b"\0\xff")])
def test_shares_are_hex_or_base64(text: str, share: bytes) -> None:
    """Hex comes first."""
    assert parse_share(text) == share
