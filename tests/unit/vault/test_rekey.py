"""Rekey: one state for all workers and hosts, and nobody who was not asked."""

import itertools
from functools import partial
from typing import Any

import pytest

from tests.unit.vault.fault import RefusingBroker
from tests.unit.vault.holders import BARE, ROTATE, Holders
from tests.unit.vault.test_mounts import in_parallel
from vault.crypto import aead
from vault.errors import AuditFailed, IntegrityError, InvalidRequest, PermissionDenied, Sealed
from vault.logical.operation import Operation
from vault.shares import CONFIG, FORMER, KEYRING, REKEY, ROOT_KEY

DOORS = frozenset({"rekey"})


@pytest.fixture
def host() -> Holders:
    """Return an open host."""
    return Holders()


# -- refusals ---------------------------------------------------------------------------------------------------------

REQUESTS: list[tuple[Operation, str, dict[str, Any]]] = [
    (Operation.READ, "init", {}),
    (Operation.UPDATE, "init", {"secret_shares": 1, "secret_threshold": 1}),
    (Operation.DELETE, "init", {}),
    (Operation.UPDATE, "update", {"key": "ab" * 33, "nonce": "x"}),
    (Operation.READ, "verify", {}),
    (Operation.UPDATE, "verify", {"key": "ab" * 33, "nonce": "x"}),
    (Operation.DELETE, "verify", {}),
]


@pytest.mark.parametrize("name", [BARE, ROTATE, "sys/rekey-recovery-key", "sys/rotate/recovery"])
@pytest.mark.parametrize(("operation", "path", "fields"), REQUESTS)
def test_strangers_do_nothing_on_a_closed_door(host: Holders, name: str, operation: Operation, path: str, fields: dict[str, Any]) -> None:
    """Without sudo, without a token and with an unknown one nothing is told and nothing cancelled, whatever other doors are open."""
    nonce = host.start()
    host.offer(nonce, host.keys[0])
    before = host.rows.rows[REKEY]
    weak = host.issue("default")
    for token in (None, "unknown", weak):
        with pytest.raises(PermissionDenied):
            host.send(operation, f"{name}/{path}", fields, token=token, open_doors=frozenset({"generate-root"}))
    assert host.rows.rows[REKEY] == before


@pytest.mark.parametrize(("operation", "path"), [(Operation.READ, "backup"), (Operation.DELETE, "backup")])
def test_an_open_door_leads_to_no_backup(host: Holders, operation: Operation, path: str) -> None:
    """And opens nothing under the other name."""
    for name in (BARE, ROTATE):
        with pytest.raises(PermissionDenied):
            host.send(operation, f"{name}/{path}", {}, token=None, open_doors=DOORS)
    with pytest.raises(PermissionDenied):
        host.send(Operation.DELETE, f"{ROTATE}/init", {}, token=None, open_doors=DOORS)


def test_an_open_door_serves_all(host: Holders) -> None:
    """The older way: whoever has the shares needs no token."""

    def ask(operation: Operation, path: str, **fields: Any) -> Any:
        answer = host.send(operation, f"{BARE}/{path}", fields, token=None, open_doors=DOORS)
        return None if answer is None else answer.data

    nonce = ask(Operation.UPDATE, "init", secret_shares=1, secret_threshold=1)["nonce"]
    assert ask(Operation.READ, "init")["started"]
    ask(Operation.DELETE, "init")
    assert not ask(Operation.READ, "init")["started"]
    nonce = ask(Operation.UPDATE, "init", secret_shares=1, secret_threshold=1)["nonce"]
    data: Any = None
    for key in host.keys[:3]:
        data = ask(Operation.UPDATE, "update", key=key, nonce=nonce)
    assert data["complete"]


@pytest.mark.parametrize("name", [BARE, ROTATE])
def test_wrong_nonces_repeated_shares_and_second_starts_are_refused(host: Holders, name: str) -> None:
    """And leave the attempt as it is."""
    nonce = host.start(name=name)
    host.offer(nonce, host.keys[0], name)
    for wrong, key in (("other", host.keys[1]), (nonce, host.keys[0]), (nonce, "zz"), (nonce, "ab" * 15), (nonce, "ab" * 34)):
        with pytest.raises(InvalidRequest):
            host.offer(wrong, key, name)
    with pytest.raises(InvalidRequest, match="already in progress"):
        host.start(name=name)
    assert host.ask(Operation.READ, f"{name}/init")["progress"] == 1


def test_wrong_set_is_forgotten_and_judges_no_share(host: Holders) -> None:
    """Wrong shares count like right ones until the set is whole; then all of them go."""
    nonce = host.start()
    assert host.offer(nonce, "07" * 33)["progress"] == 1
    assert host.offer(nonce, host.keys[0])["progress"] == 2
    with pytest.raises(InvalidRequest, match="do not open"):
        host.offer(nonce, host.keys[1])
    assert host.ask(Operation.READ, f"{BARE}/init")["progress"] == 0
    assert host.opens(host.finish(nonce), 2)


def test_sealed_host_tells_nothing(host: Holders) -> None:
    """Sealing by request forgets the attempt."""
    host.offer(host.start(), host.keys[0])
    host.ask(Operation.UPDATE, "sys/seal")
    with pytest.raises(Sealed):
        host.ask(Operation.READ, f"{BARE}/init")
    host.open(host.keys)
    assert not host.ask(Operation.READ, f"{BARE}/init")["started"]


# -- the swap ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shares", "threshold"), [(1, 1), (3, 2), (7, 5)])
def test_rekey_replaces_shares_unseal_key_and_root_key(host: Holders, shares: int, threshold: int) -> None:
    """Data stays; an old backup of the rows with the old shares gives a root key that does not open the keyring of today."""
    host.ask(Operation.UPDATE, "sys/mounts/kv", type="kv")
    host.ask(Operation.UPDATE, "kv/a", x="1")
    old_root_key, old_rows = host.page.read_seal().root_key, dict(host.rows.rows)
    new = host.finish(host.start(shares, threshold))
    assert len(new) == shares
    assert host.page.read_seal().root_key != old_root_key
    with pytest.raises(IntegrityError):
        aead.open_sealed(old_root_key, host.rows.rows[KEYRING].value, KEYRING.encode())
    assert old_rows[ROOT_KEY].value != host.rows.rows[ROOT_KEY].value
    assert FORMER not in host.rows.rows
    assert REKEY not in host.rows.rows
    assert not host.opens(host.keys)
    assert host.opens(new, threshold)
    assert host.ask(Operation.READ, "kv/a") == {"x": "1"}
    assert (host.status()["n"], host.status()["t"]) == (shares, threshold)


def test_shares_given_to_many_workers_and_hosts_count_together() -> None:
    """The attempt is one row: a share to each of three workers of two hosts, and the open hosts stay open."""
    host = Holders()
    other = Holders(host.rows)
    other.keys, other.root = host.keys, host.root
    other.open(host.keys)
    nonce = host.start()
    host.offer(nonce, host.keys[0])
    assert other.offer(nonce, host.keys[1], ROTATE)["progress"] == 2
    new = host.offer(nonce, host.keys[2], worker=host.worker())["keys"]
    for where in (host, other):
        assert where.ask(Operation.READ, "auth/token/lookup-self")["policies"] == ["root"]
        assert where.opens(new, 2)


def test_concurrent_shares_complete_once(host: Holders) -> None:
    """Five shares at once on five workers: one answer has new shares, and they open."""
    nonce = host.start()

    def offer(key: str) -> Any:
        return host.send(Operation.UPDATE, f"{BARE}/update", {"key": key, "nonce": nonce}, token=host.root, worker=host.worker())

    results: list[Any] = in_parallel([partial(offer, key) for key in host.keys])
    done = [answer.data for answer in results if not isinstance(answer, BaseException) and answer.data.get("complete")]
    assert len(done) == 1
    assert host.opens(done[0]["keys"], 2)


def test_answer_that_is_not_on_record_changes_nothing(host: Holders) -> None:
    """The old shares stay, and so do the shares given so far."""
    nonce = host.start()
    for key in host.keys[:2]:
        host.offer(nonce, key)
    root_key, kept = host.page.read_seal().root_key, host.first.core.audit
    object.__setattr__(host.first.core, "audit", RefusingBroker("response"))
    with pytest.raises(AuditFailed):
        host.offer(nonce, host.keys[2])
    object.__setattr__(host.first.core, "audit", kept)
    assert host.page.read_seal().root_key == root_key
    assert host.ask(Operation.READ, f"{BARE}/init")["progress"] == 2
    assert host.opens(host.keys)


# -- verification -----------------------------------------------------------------------------------------------------


def test_nothing_is_replaced_before_enough_new_shares_came_back(host: Holders) -> None:
    """Until then the old shares count; wrong ones start the verification anew; old ones are over afterwards."""
    before = {path: host.rows.rows[path] for path in (ROOT_KEY, KEYRING, "core/seal-config")}
    nonce = host.start(3, 2, require_verification=True)
    new = host.finish(nonce)
    assert {path: host.rows.rows[path] for path in before} == before
    verification = host.ask(Operation.READ, f"{BARE}/verify")["nonce"]
    with pytest.raises(InvalidRequest, match="already finished"):
        host.offer(nonce, host.keys[0])
    assert host.ask(Operation.UPDATE, f"{BARE}/verify", key=new[0], nonce=verification)["progress"] == 1
    for key, wrong in ((new[0], verification), (new[1], nonce), (host.keys[0], verification)):
        with pytest.raises(InvalidRequest):
            host.ask(Operation.UPDATE, f"{BARE}/verify", key=key, nonce=wrong)
    status = host.ask(Operation.READ, f"{BARE}/verify")
    assert (status["progress"], status["started"]) == (0, True)
    assert status["nonce"] != verification
    assert host.opens(host.keys)
    host.ask(Operation.UPDATE, f"{BARE}/verify", key=new[0], nonce=status["nonce"])
    assert host.ask(Operation.UPDATE, f"{BARE}/verify", host.worker(), key=new[2], nonce=status["nonce"]) == {
        "nonce": status["nonce"],
        "complete": True,
    }
    assert not host.opens(host.keys)
    assert host.opens(new, 2)


def test_cancelled_verification_leaves_the_old_shares(host: Holders) -> None:
    """The new ones were never in force."""
    new = host.finish(host.start(3, 2, require_verification=True))
    host.ask(Operation.DELETE, f"{BARE}/init")
    assert not host.ask(Operation.READ, f"{BARE}/init")["started"]
    assert not host.opens(new, 2)
    assert host.opens(host.keys)


def test_verification_restarts_on_demand(host: Holders) -> None:
    """Under a new nonce, with nothing given back."""
    new = host.finish(host.start(3, 2, require_verification=True))
    first = host.ask(Operation.READ, f"{BARE}/verify")["nonce"]
    host.ask(Operation.UPDATE, f"{BARE}/verify", key=new[0], nonce=first)
    again = host.ask(Operation.DELETE, f"{BARE}/verify")
    assert (again["progress"], again["nonce"] != first) == (0, True)
    for name in (BARE, ROTATE):
        host.ask(Operation.DELETE, f"{name}/init")
        with pytest.raises(InvalidRequest, match=r"no (rekey|rotation) configuration found"):
            host.ask(Operation.DELETE, f"{name}/verify")


def test_nothing_that_is_printed_holds_a_key(host: Holders) -> None:
    """Not the attempt, not the state of the page."""
    host.finish(host.start(3, 2, require_verification=True))
    attempt = host.first.core.store.read().get(REKEY)
    assert attempt is not None
    assert host.rows.rows[REKEY].value != attempt.value
    assert host.page.read_seal().root_key.hex() not in repr(host.page.read_seal())


def test_all_sets_of_new_shares_open(host: Holders) -> None:
    """Any two of three."""
    new = host.finish(host.start(3, 2))
    assert all(host.opens(keys, 2) for keys in itertools.permutations(new, 2))


def test_recovery_keys_are_refused(host: Holders) -> None:
    """This seal has none."""
    for name in ("sys/rekey-recovery-key", "sys/rotate/recovery"):
        for operation, path, fields in REQUESTS:
            with pytest.raises(InvalidRequest, match="recovery rekeying not supported"):
                host.ask(operation, f"{name}/{path}", **fields)
    for path in ("sys/rekey/recovery-key-backup", "sys/rotate/recovery/backup"):
        with pytest.raises(InvalidRequest, match="no backed-up keys found"):
            host.ask(Operation.READ, path)
        assert host.ask(Operation.DELETE, path) is None


def test_a_seal_of_another_kind_is_not_rekeyed(host: Holders) -> None:
    """The shares of a seal that opens by itself are no lock on the root key, and must not become one."""
    host.first.store.run(lambda transaction: transaction.put_plain(CONFIG, b'{"shares":5,"threshold":3,"kind":"static"}'))
    for name in (BARE, ROTATE):
        with pytest.raises(InvalidRequest, match="only a Shamir seal"):
            host.start(name=name)
