"""`seal "static"`: the host opens itself, recovery shares prove, and a seal is left for another one in a single step."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from tests.unit.vault.fault import Killed, RefusingBroker
from tests.unit.vault.modules.system.world import ROOT, SystemRows, Worker
from tests.unit.vault.test_seal import Host
from vault.errors import AuditFailed, IntegrityError, InvalidRequest, Sealed, VaultError
from vault.logical.operation import Operation
from vault.seal import MigrationRefused
from vault.secret import Secret
from vault.settings import StaticSeal
from vault.shares import CONFIG, KEYRING, ROOT_KEY
from vault.static_lock import RECOVERY_KEY
from vault.storage.physical import Change, Prepared, Row

K1, K2 = "11" * 32, "22" * 32
STATIC = StaticSeal(current_key_id="k1", current_key=Secret(K1))
DISABLED = replace(STATIC, disabled=True)
NEXT = StaticSeal(current_key_id="k2", current_key=Secret(K2), previous_key_id="k1", previous_key=Secret(K1))
NEXT_ALONE = StaticSeal(current_key_id="k2", current_key=Secret(K2))


class StaticHost(Host):
    """A host with (or without) a static key in its configuration, over rows that outlive it."""

    def __init__(self, static: StaticSeal | None = STATIC, rows: SystemRows | None = None) -> None:
        self.static = static
        super().__init__(rows)
        self.first.seal.open_alone()

    def restart(self, static: StaticSeal | None = STATIC) -> "StaticHost":
        """Return the host after a restart with another configuration."""
        return StaticHost(static, self.rows)

    def recover(self, shares: int = 5, threshold: int = 3) -> Any:
        """Initialise with recovery shares; return the answer's data."""
        return self.write("sys/init", token=None, recovery_shares=shares, recovery_threshold=threshold).data

    def give_all(self, keys: Sequence[str], worker: Worker | None = None, *, migrate: bool = False) -> Any:
        """Give shares; return the last answer's data."""
        answers = [self.write("sys/unseal", token=None, worker=worker, key=key, migrate=migrate) for key in keys]
        return answers[-1].data

    def migrate(self, keys: Sequence[str], worker: Worker | None = None) -> Any:
        """Give shares for a migration; return the last answer's data."""
        return self.give_all(keys, worker, migrate=True)

    def hear(self) -> None:
        """Look at all rows anew, as a host does when it hears of another one's writes."""
        self.page.generations.bump_all()
        self.page.generations.settle(self.page.generations.doubt)

    def is_serving(self, worker: Worker | None = None) -> bool:
        """Return whether the root token is known."""
        try:
            return bool(self.read("auth/token/lookup-self", token=ROOT, worker=worker))
        except Sealed:
            return False

    def change(self, path: str, value: bytes) -> None:
        """Change a row behind the server's back."""
        stored = self.rows._rows[path]
        self.rows._rows[path] = replace(stored, row=Row(value, stored.row.version + 1))


@pytest.fixture
def host() -> StaticHost:
    """Return a host with a static seal before init."""
    return StaticHost()


# -- init ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"secret_shares": 5, "secret_threshold": 3}, "parameters secret_shares,secret_threshold not applicable to seal type static"),
        ({"secret_shares": 1, "recovery_shares": 5, "recovery_threshold": 3}, "not applicable to seal type static"),
        ({"recovery_shares": 2, "recovery_threshold": 1}, "invalid recovery configuration: threshold must be greater than one"),
        ({"recovery_shares": 2, "recovery_threshold": 3}, "invalid recovery configuration: threshold cannot be larger than shares"),
        ({"recovery_shares": 256, "recovery_threshold": 3}, "invalid recovery configuration: shares must be less than 256"),
        ({"recovery_threshold": 1}, "invalid recovery configuration"),
        ({"recovery_shares": 1}, "invalid recovery configuration"),
        ({"recovery_shares": -1, "recovery_threshold": -1}, "invalid recovery configuration"),
    ],
)
def test_bad_recovery_splits_are_refused(host: StaticHost, fields: dict[str, Any], text: str) -> None:
    """Nothing is stored for them."""
    with pytest.raises(InvalidRequest, match=text):
        host.write("sys/init", token=None, **fields)
    assert host.rows.rows == {}


def test_recovery_shares_are_not_for_a_shamir_seal() -> None:
    """As unseal shares are not for a static one."""
    host = StaticHost(None)
    with pytest.raises(InvalidRequest, match="parameters recovery_shares,recovery_threshold not applicable to seal type shamir"):
        host.recover()
    with pytest.raises(InvalidRequest, match="not applicable to seal type shamir"):
        StaticHost(DISABLED).recover()


def test_init_answers_recovery_shares_and_opens_the_host(host: StaticHost) -> None:
    """There are no unseal keys; the status tells which seal it is."""
    before = host.status()
    assert (before["type"], before["recovery_seal"], before["initialized"], before["sealed"]) == ("static", True, False, True)
    made = host.recover()
    assert (made["keys"], made["keys_base64"], len(made["recovery_keys"])) == ([], [], 5)
    assert [base64.b64decode(key).hex() for key in made["recovery_keys_base64"]] == made["recovery_keys"]
    status = host.status()
    assert (status["sealed"], status["t"], status["n"], status["migration"]) == (False, 3, 5, False)
    assert (status["recovery_seal"], status["recovery_seal_type"]) == (True, "shamir")
    assert host.is_serving()
    assert host.is_serving(host.worker())


def test_init_without_recovery_shares_has_none(host: StaticHost) -> None:
    """Then nobody can ever prove anything, and only the key opens."""
    made = host.write("sys/init", token=None).data
    assert made == {"keys": [], "keys_base64": [], "root_token": ROOT}
    assert RECOVERY_KEY not in host.rows.rows
    assert host.restart().is_serving()
    late = host.restart(DISABLED)
    with pytest.raises(InvalidRequest, match="no recovery key found"):
        late.migrate(["00" * 32])
    assert host.restart().is_serving()


def test_init_is_answered_even_if_the_seal_cannot_be_opened_at_once(host: StaticHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer has the only copy of the recovery shares."""

    def fail() -> None:
        raise Sealed

    monkeypatch.setattr(host.first.seal, "open_alone", fail)
    assert len(host.recover()["recovery_keys"]) == 5


def test_storage_keeps_neither_share_nor_key_in_the_clear(host: StaticHost) -> None:
    """Not the root key, not the static key, not what the recovery shares combine to."""
    made = host.recover(1, 1)
    root_key = host.page.read_seal().root_key
    for value in (root_key, bytes.fromhex(K1), bytes.fromhex(made["recovery_keys"][0])):
        assert not any(value in row.value for row in host.rows.rows.values())


# -- opening alone -------------------------------------------------------------------------------------------------------


def test_restart_needs_nobody(host: StaticHost) -> None:
    """Every host with the key opens itself; one that was started before init does so in its next round."""
    early = StaticHost(STATIC, host.rows)
    assert early.status()["initialized"] is False
    host.recover()
    assert host.restart().is_serving()
    assert not early.is_serving()
    early.hear()
    early.first.seal.open_alone()
    assert early.is_serving()
    assert early.is_serving(early.worker())


def test_seal_lasts_until_a_restart_or_the_recovery_shares(host: StaticHost) -> None:
    """The key alone does not undo what an operator did; the shares do, as on the reference server."""
    keys = host.recover()["recovery_keys"]
    host.write("sys/seal")
    for worker in (host.first, host.worker()):
        worker.seal.open_alone()
        assert not host.is_serving(worker)
    with pytest.raises(InvalidRequest, match="recovery key does not match"):
        host.give_all(("11" * 33, "12" * 33, "13" * 33))
    assert (host.status()["sealed"], host.status()["progress"]) == (True, 0)
    for key in keys[2:]:
        host.give(key)
    assert host.is_serving()
    host.write("sys/seal")
    assert host.restart().is_serving()


@pytest.mark.parametrize(
    "static",
    [
        StaticSeal(current_key_id="k1", current_key=Secret(K2)),
        StaticSeal(current_key_id="other", current_key=Secret(K1)),
        StaticSeal(current_key_id="k2", current_key=Secret(K2), previous_key_id="k1", previous_key=Secret("33" * 32)),
    ],
)
def test_wrong_key_or_name_leaves_the_host_sealed(host: StaticHost, static: StaticSeal) -> None:
    """The right key under another name is another key; recovery shares open nothing."""
    keys = host.recover()["recovery_keys"]
    before = dict(host.rows.rows)
    late = host.restart(static)
    assert not late.is_serving()
    with pytest.raises(VaultError):
        late.give_all(keys[:3])
    assert late.page.read_seal().root_key == b""
    assert dict(host.rows.rows) == before
    assert host.restart().is_serving()


def test_previous_key_opens_once_and_is_not_needed_again(host: StaticHost) -> None:
    """At the start everything is sealed by the current key; the recovery shares stay the same."""
    keys = host.recover()["recovery_keys"]
    assert host.restart(NEXT).is_serving()
    late = host.restart(NEXT_ALONE)
    assert late.is_serving()
    late.write("sys/seal")
    for key in keys[:3]:
        late.give(key)
    assert late.is_serving()
    assert not host.restart(STATIC).is_serving()


def test_hosts_with_the_old_and_the_new_key_serve_side_by_side(host: StaticHost) -> None:
    """What is open stays open while the key is replaced host by host."""
    host.recover()
    hosts = [host.restart(NEXT) for _ in range(3)]
    assert all(each.is_serving() for each in (*hosts, host))


@pytest.mark.parametrize("path", [ROOT_KEY, KEYRING])
def test_damaged_row_leaves_the_host_sealed(host: StaticHost, path: str) -> None:
    """Any changed byte of what guards the keys."""
    host.recover()
    value = host.rows.rows[path].value
    for place in (0, len(value) // 2, len(value) - 1):
        host.change(path, value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :])
        assert not host.restart().is_serving()
    host.change(path, value)
    assert host.restart().is_serving()


# -- a changed configuration row -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"threshold": 1}, {"threshold": 0}, {"threshold": 2}, {"threshold": -1}, {"shares": 9}, {"shares": 0}])
@pytest.mark.parametrize("static", [STATIC, DISABLED])
def test_changed_numbers_make_every_proof_fail(host: StaticHost, fields: dict[str, int], static: StaticSeal) -> None:
    """Fewer recovery shares than were agreed prove nothing, also where they are right."""
    keys = host.recover()["recovery_keys"]
    config = msgspec.json.decode(host.rows.rows[CONFIG].value)
    late = host.restart(static)
    if static is STATIC:
        late.write("sys/seal")
    host.change(CONFIG, msgspec.json.encode(config | fields))
    late = late if static is STATIC else host.restart(static)
    late.hear()
    with pytest.raises(VaultError):
        late.give_all(keys, migrate=static is DISABLED)
    assert late.page.read_seal().root_key == b""
    assert msgspec.json.decode(host.rows.rows[CONFIG].value) == config | fields


@pytest.mark.parametrize("kind", ["shamir", "other", ""])
@pytest.mark.parametrize("static", [STATIC, DISABLED, None])
def test_changed_kind_opens_nothing(host: StaticHost, kind: str, static: StaticSeal | None) -> None:
    """Calling a static seal something else does not make its recovery shares open it."""
    keys = host.recover()["recovery_keys"]
    host.change(CONFIG, host.rows.rows[CONFIG].value.replace(b'"static"', b'"%s"' % kind.encode()))
    late = host.restart(static)
    for migrate in (False, True):
        with pytest.raises(VaultError):
            late.give_all(keys, migrate=migrate)
    assert not late.is_serving()
    assert late.page.read_seal().root_key == b""


def test_shamir_seal_called_static_opens_nothing() -> None:
    """The static key does not open what the shares sealed."""
    host = StaticHost(None)
    made = host.init()
    host.change(CONFIG, host.rows.rows[CONFIG].value.replace(b'"shamir"', b'"static"'))
    for static in (STATIC, DISABLED):
        late = host.restart(static)
        assert not late.is_serving()
        with pytest.raises(VaultError):
            late.migrate(made["keys"][:3])
        assert late.page.read_seal().root_key == b""
    with pytest.raises(MigrationRefused):
        host.restart(None).first.seal.check_start(host.first.store.read())


# -- migration -------------------------------------------------------------------------------------------------------------


def test_static_seal_without_its_key_does_not_start(host: StaticHost) -> None:
    """Nothing in the configuration could ever open it."""
    host.recover()
    with pytest.raises(MigrationRefused, match='cannot seal migrate from "static" to Shamir, no disabled seal in configuration'):
        host.restart(None).first.seal.check_start(host.first.store.read())
    for static in (STATIC, DISABLED):
        host.restart(static).first.seal.check_start(host.first.store.read())


@pytest.mark.parametrize("static", [STATIC, None, DISABLED])
def test_migration_that_is_not_due_is_refused(static: StaticSeal | None) -> None:
    """Open or sealed, the flag is an error where there is nothing to migrate."""
    host = StaticHost(static)
    made = host.recover() if static is STATIC else host.init()
    keys = made.get("recovery_keys") or made["keys"]
    with pytest.raises(MigrationRefused, match="can't perform a seal migration, no migration seal found"):
        host.migrate(keys[:1])
    assert host.status()["progress"] == 0


def shamir() -> tuple[StaticHost, StaticSeal, StaticSeal | None, list[str]]:
    """Return a host that is to go from Shamir to static: it, the new configuration, the old one, and the shares."""
    host = StaticHost(None)
    return host, STATIC, None, host.init()["keys"]


def static() -> tuple[StaticHost, StaticSeal, StaticSeal | None, list[str]]:
    """Return the same for the way back."""
    host = StaticHost(STATIC)
    return host, DISABLED, STATIC, host.recover()["recovery_keys"]


Start = Callable[[], tuple[StaticHost, StaticSeal, StaticSeal | None, list[str]]]
BOTH_WAYS = pytest.mark.parametrize("start", [shamir, static])


def is_good(host: StaticHost, keys: list[str]) -> bool:
    """Return whether a host serves, alone or with three of the shares."""
    if host.status()["sealed"]:
        for key in keys[2:5]:
            host.give(key)
    return host.is_serving()


@BOTH_WAYS
def test_pending_migration_waits_for_shares_with_the_flag(start: Start) -> None:
    """Without it they are refused, uncounted; a wrong set and a reset start again; nothing has changed until the last share."""
    host, new, old, keys = start()
    before = dict(host.rows.rows)
    late = host.restart(new)
    status = late.status()
    assert (status["migration"], status["sealed"], status["t"], status["n"]) == (True, True, 3, 5)
    assert status["type"] == ("static" if new is STATIC else "shamir")
    with pytest.raises(MigrationRefused, match="migrate option not provided and seal migration is pending"):
        late.give(keys[0])
    assert late.migrate(keys[:1])["progress"] == 1
    with pytest.raises(MigrationRefused):
        late.give(keys[1])
    assert late.status()["progress"] == 1
    late.write("sys/unseal", token=None, reset=True)
    with pytest.raises(InvalidRequest):
        late.migrate([keys[0], keys[1], "07" * 33])
    assert (late.status()["progress"], late.status()["sealed"], late.status()["migration"]) == (0, True, True)
    assert dict(host.rows.rows) == before
    assert is_good(host.restart(old), keys)


@BOTH_WAYS
def test_migration_keeps_the_shares_and_the_data(start: Start) -> None:
    """The same shares unseal or prove afterwards; there is nothing left to migrate, and the old configuration opens nothing."""
    host, new, old, keys = start()
    late = host.restart(new)
    workers = [late.worker() for _ in range(3)]
    done = [late.migrate([key], worker) for key, worker in zip(keys[:3], workers, strict=True)][-1]
    assert (done["sealed"], done["migration"], done["type"]) == (False, False, "static" if new is STATIC else "shamir")
    assert all(late.is_serving(worker) for worker in (*workers, late.first))
    again = host.restart(new)
    assert again.status()["migration"] is False
    assert again.status()["sealed"] is (new is DISABLED)
    assert is_good(again, keys)
    again.write("sys/seal")
    assert is_good(again, keys)
    assert (RECOVERY_KEY in host.rows.rows) is (new is STATIC)
    back = host.restart(old)
    assert not back.is_serving()
    assert back.status()["migration"] is True


def test_seal_can_be_left_and_taken_again() -> None:
    """Both ways, many times, with the shares of the first day."""
    host = StaticHost(None)
    keys = host.init()["keys"]
    for turn in range(4):
        late = host.restart(STATIC if turn % 2 == 0 else DISABLED)
        late.migrate(keys[turn % 3 : turn % 3 + 3])
        assert late.is_serving()
    assert is_good(host.restart(None), keys)


@BOTH_WAYS
def test_migration_that_is_not_on_record_did_not_happen(start: Start) -> None:
    """Nothing is stored, the host stays sealed, and the next attempt works."""
    host, new, _, keys = start()
    late = host.restart(new)
    before = dict(host.rows.rows)
    late.migrate(keys[:2], late.worker())
    object.__setattr__(late.first.core, "audit", RefusingBroker("response"))
    with pytest.raises(AuditFailed):
        late.migrate(keys[2:3])
    assert dict(host.rows.rows) == before
    assert late.page.read_seal().sealed
    assert late.page.read_seal().root_key == b""
    assert late.migrate(keys[:3], late.worker())["sealed"] is False


class DyingRows(SystemRows):
    """Rows whose writer is killed as it changes the root key's lock: before the changes are checked, before they are visible, or after."""

    step = ""

    def prepare(self, version: int, changes: Sequence[Change], prefixes: Sequence[str], notice: str = "") -> Prepared:
        if not any(change.path == ROOT_KEY and change.value for change in changes) or not self.step:
            return super().prepare(version, changes, prefixes, notice)
        step, self.step = self.step, ""
        if step == "before":
            raise Killed
        prepared = super().prepare(version, changes, prefixes, notice)
        if step == "prepared":
            prepared.rollback()  # as the database does for a connection that is gone
            raise Killed
        prepared.commit()
        raise Killed


@pytest.mark.parametrize("step", ["before", "prepared", "committed"])
@BOTH_WAYS
def test_migration_killed_at_any_step_leaves_the_old_seal_or_the_new_one(start: Start, step: str) -> None:
    """Never neither: one of the two configurations opens it, and if it is the old one the migration is still to be done."""
    host, new, old, keys = start()
    rows = DyingRows()
    rows._rows = host.rows._rows
    late = StaticHost(new, rows)
    late.migrate(keys[:2])
    rows.step = step
    with pytest.raises(Killed):
        late.migrate(keys[2:3])
    after = StaticHost(new, rows)
    assert after.status()["migration"] is (step != "committed")
    if step == "committed":
        assert is_good(after, keys)
    else:
        assert is_good(StaticHost(old, rows), keys)
        assert after.migrate(keys[:3])["sealed"] is False
        assert is_good(StaticHost(new, rows), keys)


@pytest.mark.parametrize("step", ["before", "prepared", "committed"])
def test_change_of_the_key_killed_at_any_step_is_done_by_the_next_start(host: StaticHost, step: str) -> None:
    """The previous key is there until nothing needs it."""
    host.recover()
    rows = DyingRows()
    rows._rows = host.rows._rows
    rows.step = step
    with pytest.raises(Killed):
        StaticHost(NEXT, rows)
    assert StaticHost(NEXT, rows).is_serving()
    assert StaticHost(NEXT_ALONE, rows).is_serving()


def test_two_hosts_that_migrate_at_once_agree() -> None:
    """Both are open, and one change was made."""
    host = StaticHost(None)
    keys = host.init()["keys"]
    first, second = host.restart(STATIC), host.restart(STATIC)
    for each in (first, second):
        each.migrate(keys[:2])
    first.migrate(keys[2:3])
    second.hear()
    with pytest.raises(MigrationRefused):
        second.migrate(keys[2:3])
    second.first.seal.open_alone()
    assert first.is_serving()
    assert second.is_serving()


# -- for those who ask for proof -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("static", [STATIC, None])
def test_proof_gives_the_root_key_for_a_whole_set_alone(static: StaticSeal | None) -> None:
    """Whichever the seal is; fewer, wrong and doubled shares prove nothing."""
    host = StaticHost(static)
    made = host.recover() if static else host.init()
    shares = tuple(bytes.fromhex(key) for key in made.get("recovery_keys") or made["keys"])
    seal, reader = host.first.seal, host.first.store.read()
    config = seal.find_config(reader)
    assert config is not None
    for key in made["keys"][:3]:
        host.give(key)
    assert seal.prove(reader, config, shares[1:4])[1] == host.page.read_seal().root_key
    for wrong in (shares[:2], (shares[0], shares[0], shares[1]), (*shares[:2], b"\7" * 33), (*shares[:2], b"x")):
        with pytest.raises(InvalidRequest):
            seal.prove(reader, config, wrong)


def test_unreadable_recovery_row_proves_nothing(host: StaticHost) -> None:
    """It is an error, not a missing row."""
    keys = host.recover()["recovery_keys"]
    host.write("sys/seal")
    host.change(RECOVERY_KEY, b"x" * 60)
    host.hear()
    with pytest.raises(IntegrityError):
        host.give_all(keys[:3])
    assert host.send(Operation.READ, "sys/seal-status", {}, token=None) is not None
