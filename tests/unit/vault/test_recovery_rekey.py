"""New recovery shares of a static seal, and its root key replaced in one step: the steps of a rekey, with proof in place of unsealing."""

from typing import Any

import pytest

from tests.unit.vault.fault import Killed
from tests.unit.vault.holders import CrashingRows
from tests.unit.vault.modules.system.world import ROOT
from tests.unit.vault.static_host import DISABLED, NEXT, NEXT_ALONE, STATIC, StaticHost
from tests.unit.vault.test_rekey_pgp import KEYS
from vault.errors import InvalidRequest, PermissionDenied
from vault.logical.operation import Operation
from vault.shares import FORMER, KEYRING, REKEY_RECOVERY, ROOT_KEY

NAMES = ("sys/rekey-recovery-key", "sys/rotate/recovery")
BACKUPS = ("sys/rekey/recovery-key-backup", "sys/rotate/recovery/backup")


class RecoveryHost(StaticHost):
    """An open host of five who can recover, of which three are enough."""

    def __init__(self, rows: Any = None) -> None:
        super().__init__(STATIC, rows)
        self.keys: list[str] = [] if rows else self.recover()["recovery_keys"]
        self.sent: Any = None

    def start(self, name: str = NAMES[0], shares: int = 3, threshold: int = 2, **fields: Any) -> str:
        """Begin; return the nonce."""
        return str(self.write(f"{name}/init", secret_shares=shares, secret_threshold=threshold, **fields).data["nonce"])

    def finish(self, nonce: str, keys: list[str] | None = None, name: str = NAMES[0]) -> Any:
        """Give shares; return the last answer's data."""
        answers = [self.write(f"{name}/update", key=key, nonce=nonce) for key in (self.keys[:3] if keys is None else keys)]
        answer = answers[-1]
        self.sent = answer.sent
        return answer.data

    def proves(self, keys: list[str]) -> bool:
        """Tell whether these shares make a root token."""
        nonce = self.write("sys/generate-root/attempt").data["nonce"]
        try:
            answers = [self.write("sys/generate-root/update", key=key, nonce=nonce).data for key in keys]
        except InvalidRequest:
            self.delete("sys/generate-root/attempt")
            return False
        self.delete("sys/generate-root/attempt")
        return bool(answers[-1]["complete"])


@pytest.fixture
def host() -> RecoveryHost:
    """Return an open host."""
    return RecoveryHost()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("static", [None, STATIC])
def test_where_there_are_no_recovery_shares_nothing_is_told(name: str, static: Any) -> None:
    """Neither of a Shamir seal nor of a static one that was made without."""
    host = StaticHost(static)
    if static is None:
        host.give_all(host.init()["keys"][:3])
    else:
        host.write("sys/init", token=None)
    before = dict(host.rows.rows)
    fields = {"secret_shares": 1, "secret_threshold": 1}
    for operation, path, body in (
        (Operation.READ, "init", {}), (Operation.UPDATE, "init", fields), (Operation.DELETE, "init", {}),
        (Operation.UPDATE, "update", {"key": "00" * 32, "nonce": "x"}), (Operation.READ, "verify", {}), (Operation.DELETE, "verify", {}),
        (Operation.UPDATE, "verify", {"key": "00" * 32, "nonce": "x"}),
    ):  # fmt: skip
        with pytest.raises(InvalidRequest, match="recovery rekeying not supported"):
            host.send(operation, f"{name}/{path}", body)
    assert dict(host.rows.rows) == before


@pytest.mark.parametrize("name", [*NAMES, "sys/rotate/root"])
def test_replacing_shares_or_the_root_key_takes_sudo(host: RecoveryHost, name: str) -> None:
    """Every other capability is not enough."""
    holder = host.holder('path "*" { capabilities = ["create", "read", "update", "delete", "list"] }')
    before = dict(host.rows.rows)
    for token in (holder, None):
        with pytest.raises(PermissionDenied):
            host.write(name if name.endswith("root") else f"{name}/init", token=token, secret_shares=1, secret_threshold=1)
    assert {path: row for path, row in host.rows.rows.items() if path.startswith("core/")} == {
        path: row for path, row in before.items() if path.startswith("core/")
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("verifies", [False, True])
def test_new_recovery_shares_take_the_place_of_the_old(host: RecoveryHost, name: str, *, verifies: bool) -> None:
    """After a wrong set as well; they prove, unseal what was sealed by hand, and undo the seal."""
    nonce = host.start(name, require_verification=verifies)
    host.finish(nonce, host.keys[:2], name)
    with pytest.raises(InvalidRequest, match="recovery key verification failed"):
        host.finish(nonce, ["11" * 33], name)
    assert host.read(f"{name}/init")["progress"] == 0
    data = host.finish(nonce, name=name)
    new = data["keys"]
    if verifies:
        assert host.proves(host.keys[:3])
        answers = [host.write(f"{name}/verify", key=key, nonce=data["verification_nonce"]).data for key in new[:2]]
        assert answers[-1]["complete"]
    else:
        host.sent()
    assert FORMER not in host.rows.rows
    assert REKEY_RECOVERY not in host.rows.rows
    status = host.status()
    assert (status["type"], status["t"], status["n"], status["migration"]) == ("static", 2, 3, False)
    assert not host.proves(host.keys[:3])
    assert host.proves(new[1:])
    host.write("sys/seal")
    assert host.give_all(new[:2])["sealed"] is False
    assert host.is_serving()
    assert host.restart().is_serving()
    late = host.restart(DISABLED)
    assert late.migrate(new[:2])["sealed"] is False


def test_lost_answer_leaves_the_old_shares_good(host: RecoveryHost) -> None:
    """Until the new ones have proved something."""
    new = host.finish(host.start())["keys"]
    assert host.proves(host.keys[:3])
    assert host.proves(new[:2])
    assert FORMER not in host.rows.rows
    assert not host.proves(host.keys[:3])


def test_old_shares_can_begin_anew_after_a_lost_answer(host: RecoveryHost) -> None:
    """And then all others are over."""
    lost = host.finish(host.start())["keys"]
    again = host.finish(host.start())["keys"]
    host.sent()
    assert host.proves(again[:2])
    assert not host.proves(host.keys[:3])
    assert not host.proves(lost[:2])


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(1, 6))
def test_killed_at_any_commit_old_or_new_shares_prove(step: int, *, after: bool) -> None:
    """A respawned worker serves, a restart opens by itself, and shares that somebody holds prove."""
    host = RecoveryHost()
    rows = CrashingRows()
    rows._rows = host.rows._rows
    host.rows = host.physical = rows
    host.first = host.worker()
    rows.left, rows.after = step, after
    known = [host.keys[:3]]
    try:
        known.append(host.finish(host.start())["keys"][:2])
        host.sent()
    except Killed:
        pass
    rows.left = 0
    assert host.is_serving(host.worker())
    assert host.restart().is_serving()
    host.first = host.worker()
    assert any(host.proves(keys) for keys in known)


def test_root_key_is_replaced_in_one_step(host: RecoveryHost) -> None:
    """Every host takes it over, a restart opens by itself, recovery shares stay, and the former root key opens nothing."""
    other = host.restart()
    former, rows = host.page.read_seal().root_key, dict(host.rows.rows)
    assert host.write("sys/rotate/root") is None
    assert host.page.read_seal().root_key != former
    assert {path for path in (KEYRING, ROOT_KEY) if host.rows.rows[path] != rows[path]} == {KEYRING, ROOT_KEY}
    other.hear()
    assert other.is_serving(other.worker())
    assert other.page.read_seal().root_key == host.page.read_seal().root_key
    assert host.restart().is_serving()
    assert host.proves(host.keys[:3])


def test_root_key_of_shareholders_is_not_replaced_without_them() -> None:
    """The server could not lock a new one."""
    host = StaticHost(None)
    host.give_all(host.init()["keys"][:3])
    before = dict(host.rows.rows)
    with pytest.raises(InvalidRequest, match="by its shareholders"):
        host.write("sys/rotate/root")
    assert dict(host.rows.rows) == before


def test_change_of_the_static_key_keeps_the_new_recovery_shares(host: RecoveryHost) -> None:
    """They are noted under whichever key is the current one."""
    new = host.finish(host.start())["keys"]
    host.sent()
    assert host.restart(NEXT).is_serving()
    late = host.restart(NEXT_ALONE)
    assert late.is_serving()
    late.write("sys/seal", token=ROOT)
    assert late.give_all(new[:2])["sealed"] is False


@pytest.mark.parametrize(("name", "backup"), tuple(zip(NAMES, BACKUPS, strict=True)))
def test_backup_is_of_recovery_shares_alone(host: RecoveryHost, name: str, backup: str) -> None:
    """It has a row of its own."""
    new = host.finish(host.start(name, 2, 2, pgp_keys=KEYS[:2], backup=True), name=name)["keys"]
    assert sorted(share for kept in host.read(backup)["keys"].values() for share in kept) == sorted(new)
    with pytest.raises(InvalidRequest, match="no backed-up keys found"):
        host.read("sys/rekey/backup")
    host.delete(backup)
    with pytest.raises(InvalidRequest, match="no backed-up keys found"):
        host.read(backup)
