"""`seal "static"`: the host opens itself, recovery shares prove, and a seal is left for another one in a single step."""

import base64
from typing import Any

import msgspec
import pytest

from tests.unit.vault.modules.system.world import ROOT
from tests.unit.vault.static_host import DISABLED, K1, K2, NEXT, NEXT_ALONE, STATIC, StaticHost
from vault.errors import IntegrityError, InvalidRequest, Sealed, VaultError
from vault.locks import MigrationRefused
from vault.logical.operation import Operation
from vault.secret import Secret
from vault.settings import StaticSeal
from vault.shares import CONFIG, KEYRING, ROOT_KEY, WrongShares
from vault.static_lock import RECOVERY_KEY


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
        host.restart(None).first.seal.locks.check_start(host.first.store.read())


# -- for those who ask for proof -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("static", [STATIC, None])
def test_proof_gives_the_root_key_for_a_whole_set_alone(static: StaticSeal | None) -> None:
    """Whichever the seal is; fewer, wrong and doubled shares prove nothing."""
    host = StaticHost(static)
    made = host.recover() if static else host.init()
    shares = tuple(bytes.fromhex(key) for key in made.get("recovery_keys") or made["keys"])
    locks, reader = host.first.seal.locks, host.first.store.read()
    for key in made["keys"][:3]:
        host.give(key)
    opened = locks.open(reader, shares[1:4], "test")
    assert opened is not None
    assert opened.root_key == host.page.read_seal().root_key
    assert locks.open(reader, shares[:2], "test") is None
    for wrong in ((shares[0], shares[0], shares[1]), (*shares[:2], b"\7" * 33), (*shares[:2], b"x")):
        with pytest.raises(WrongShares):
            locks.open(reader, wrong, "test")


def test_recovery_shares_make_a_root_token(host: StaticHost) -> None:
    """As unseal shares do with the other seal; wrong ones do not, and nothing does where there are none."""
    keys = host.recover()["recovery_keys"]
    nonce = host.write("sys/generate-root/attempt").data["nonce"]
    for key in keys[:2]:
        host.write("sys/generate-root/update", key=key, nonce=nonce)
    with pytest.raises(InvalidRequest):
        host.write("sys/generate-root/update", key="07" * 33, nonce=nonce)
    last = [host.write("sys/generate-root/update", key=key, nonce=nonce) for key in keys[2:]][-1].data
    assert last["complete"]
    assert last["encoded_token"]
    bare = StaticHost()
    bare.write("sys/init", token=None)
    nonce = bare.write("sys/generate-root/attempt").data["nonce"]
    with pytest.raises(InvalidRequest, match="no recovery key found"):
        bare.write("sys/generate-root/update", key=keys[0], nonce=nonce)


@pytest.mark.parametrize("path", ["sys/rekey/init", "sys/rotate/root/init"])
def test_rekey_of_a_static_seal_is_refused_before_shares_are_given(host: StaticHost, path: str) -> None:
    """It would put a lock on the root key that the static key does not open."""
    host.recover()
    with pytest.raises(InvalidRequest, match="only a Shamir seal can be rekeyed"):
        host.write(path, secret_shares=3, secret_threshold=2)
    assert host.restart().is_serving()


def test_unreadable_recovery_row_proves_nothing(host: StaticHost) -> None:
    """It is an error, not a missing row."""
    keys = host.recover()["recovery_keys"]
    host.write("sys/seal")
    host.change(RECOVERY_KEY, b"x" * 60)
    host.hear()
    with pytest.raises(IntegrityError):
        host.give_all(keys[:3])
    assert host.send(Operation.READ, "sys/seal-status", {}, token=None) is not None
