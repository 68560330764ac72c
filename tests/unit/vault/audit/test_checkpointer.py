"""Checkpoints over a whole server in memory: when they are signed, where they go, and what a kill or a failure leaves."""

import json
import socket
from base64 import b64decode
from pathlib import Path

import pytest

from tests.unit.vault.modules.system.worker import Worker
from tests.unit.vault.modules.system.world import World
from vault.audit import coverage
from vault.audit.checkpoint import Checkpoint, Closing, check, hash_line, parse_checkpoint, sign
from vault.audit.coverage import Coverages
from vault.audit.device import DeviceConfig
from vault.audit.places import FilePlace
from vault.audit.source import Files
from vault.audit.verify import Expected
from vault.audit.verify import check as check_log
from vault.crypto.signature import PublicKey, SigningKey
from vault.errors import StorageUnavailable
from vault.settings import Checkpoints

SETTINGS = Checkpoints()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return the file of the declared device."""
    (tmp_path / "audit").mkdir()
    return tmp_path / "audit" / "declared.log"


@pytest.fixture
def world(log: Path) -> World:
    """Return a server with one declared device, whose log has begun."""
    device = DeviceConfig(path="declared/", kind="file", slot=0, options={"file_path": str(log)}, declared=True)
    made = World(log.parent, (device,))
    made.read("sys/mounts")
    return made


def public_key(world: World) -> PublicKey:
    """Return the key as an operator reads it."""
    found = world.read("sys/config/auditing/checkpoint-key")
    key = PublicKey(b64decode(found["public_key"]))
    assert found == {"key_id": key.id, "algorithm": "ed25519", "public_key": found["public_key"]}
    return key


def read_place(world: World) -> Coverages:
    """Return what the place of a world says."""
    key = public_key(world)
    return coverage.read([("place", world.place.lines)], {key.id: key})


def signed(world: World) -> list[Checkpoint]:
    """Return the checkpoints in the place."""
    return [parse_checkpoint(line).statement for line in world.place.lines]


def covered(world: World, log: Path) -> tuple[int, int]:
    """Return how many records the log has, and up to which it is covered; it must be good."""
    report = check_log(Files([log]), Expected(coverages=read_place(world)))
    assert report.ok, report
    return report.last, report.covered


def test_first_look_covers_what_is_there(world: World, log: Path) -> None:
    """A log that no checkpoint names yet gets one at once; it says what the log says."""
    world.read("sys/mounts")
    world.first.checkpointer.look()
    (checkpoint,) = signed(world)
    last = json.loads(log.read_bytes().splitlines()[-1])
    assert (checkpoint.log, checkpoint.seq, checkpoint.hash) == (last["log"], last["seq"], last["hash"])
    assert (checkpoint.reason, checkpoint.device, checkpoint.medium) == ("start", "declared/", "file")
    assert (checkpoint.number, checkpoint.prev, checkpoint.count) == (1, "0" * 64, last["seq"])


def test_nothing_is_signed_before_it_is_due(world: World) -> None:
    """A log that has not gone on is not signed again, however long that is; one that has, after the interval."""
    world.read("sys/mounts")
    look = world.first.checkpointer.look
    look()
    world.clock.advance(SETTINGS.interval_seconds * 10)
    look()
    assert len(world.place.lines) == 1
    world.read("sys/mounts")
    look()
    world.clock.advance(SETTINGS.interval_seconds * 0.9)
    world.read("sys/mounts")
    world.clock.advance(-SETTINGS.interval_seconds * 10)
    look()
    assert [checkpoint.reason for checkpoint in signed(world)] == ["start", "interval"]


def test_log_without_a_record_is_not_signed(log: Path) -> None:
    """A stream whose receiver was never there has a log and no record: there is nothing to sign for, and other logs are covered."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"  # nobody listens
        file = DeviceConfig(path="declared/", kind="file", slot=0, options={"file_path": str(log)}, declared=True)
        stream = DeviceConfig(path="stream/", kind="socket", slot=1, options={"address": address}, declared=True)
        world = World(log.parent, (stream, file))
        world.read("sys/mounts")
        world.first.checkpointer.look()
        world.first.checkpointer.cover_all("sealing")
    assert world.first.checkpointer.failures == 0
    assert {checkpoint.device for checkpoint in signed(world)} == {"declared/"}
    assert [json.loads(line)["device"] for line in world.read("sys/config/auditing/checkpoints")["checkpoints"]] == ["declared/"]


def test_many_records_are_covered_before_the_interval_is_over(log: Path, world: World) -> None:
    """After the configured number of records a checkpoint comes at once."""
    world.first.checkpointer.look()
    for _ in range(SETTINGS.records // 2):
        world.first.checkpointer.look()
        world.read("sys/mounts")
    assert len(world.place.lines) <= 1
    world.read("sys/mounts")
    world.first.checkpointer.look()
    assert signed(world)[-1].reason == "records"
    assert covered(world, log)[1] >= SETTINGS.records


def test_checkpoints_of_a_log_are_a_chain(world: World, log: Path) -> None:
    """Whoever signs, each one names the one before; a reader of the log finds it covered."""
    workers = [world.first, world.worker(), world.worker()]
    for index in range(6):
        world.read("sys/mounts")
        world.clock.advance(SETTINGS.interval_seconds)
        for worker in workers[index % 3 :]:
            worker.checkpointer.look()
    assert [checkpoint.number for checkpoint in signed(world)] == [1, 2, 3, 4, 5, 6]
    assert covered(world, log)[1] == signed(world)[-1].seq


def test_sealed_server_signs_nothing_and_covers_it_later(world: World, log: Path) -> None:
    """There is no key while sealed: sealing covers what was, and the first look after the unsealing what came meanwhile."""
    world.first.checkpointer.look()
    world.write("sys/seal")
    count = len(world.place.lines)
    assert signed(world)[-1].reason == "seal"
    world.clock.advance(SETTINGS.interval_seconds * 2)
    world.first.checkpointer.look()
    world.first.checkpointer.stop()
    assert len(world.place.lines) == count
    world.unseal()
    world.first.checkpointer.look()
    last, _ = covered(world, log)
    assert signed(world)[-1].seq >= last - 2  # all but the question for the key itself


def test_stop_covers_what_was_recorded_last(world: World, log: Path) -> None:
    """A graceful stop leaves no record without a checkpoint, and no second checkpoint where there is nothing new."""
    world.first.checkpointer.look()
    world.read("sys/mounts")
    world.first.checkpointer.stop()
    world.worker().checkpointer.stop()
    assert [checkpoint.reason for checkpoint in signed(world)][-1] == "stop"
    assert signed(world)[-1].seq == len(log.read_bytes().splitlines())
    assert len(world.place.lines) <= 2


def test_disabled_device_ends_with_a_closing_record(world: World, log: Path) -> None:
    """The last record of a device that is disabled is signed for, though nobody looks at it any more."""
    other = log.with_name("other.log")
    world.write("sys/audit/other", type="file", options={"file_path": str(other)})
    world.delete("sys/audit/other")
    checkpoint = signed(world)[-1]
    last = json.loads(other.read_bytes().splitlines()[-1])
    assert (checkpoint.reason, checkpoint.device, checkpoint.seq, checkpoint.hash) == ("closing", "other/", last["seq"], last["hash"])
    assert last["type"] == "disabled"


def test_rotation_is_covered_and_no_alarm(world: World, log: Path) -> None:
    """A file that was moved away is signed for at once, and both files are one log."""
    world.first.checkpointer.look()
    world.read("sys/mounts")
    log.rename(log.with_suffix(".1"))
    world.read("sys/mounts")
    world.first.checkpointer.look()
    assert signed(world)[-1].reason == "rotation"
    report = check_log(Files([log.with_suffix(".1"), log]), Expected(coverages=read_place(world)))
    assert report.ok, report
    assert report.checkpoints == 2


def restart(world: World) -> Worker:
    """Forget what the host knows but for what is stored, and start a worker."""
    for slot in range(2):
        world.page.audit_area(slot)[:] = bytes(len(world.page.audit_area(slot)))
        world.page.audit_mark(slot)[:] = bytes(len(world.page.audit_mark(slot)))
    worker = world.worker()
    worker.seal.require_open()
    return worker


def test_chain_goes_on_after_a_restart(world: World, log: Path) -> None:
    """What the host forgets, the storage knows: the last line is delivered again, and the next one follows it."""
    world.read("sys/mounts")
    world.first.checkpointer.look()
    restart(world)
    world.read("sys/mounts")
    world.first.checkpointer.look()
    assert [checkpoint.number for checkpoint in signed(world)] == [1, 1, 2]
    assert world.place.lines[0] == world.place.lines[1]
    covered(world, log)


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), StorageUnavailable(), RuntimeError("surprise")], ids=str)
def test_failing_place_refuses_nobody_and_is_made_up_for(world: World, log: Path, fault: Exception) -> None:
    """A place that is down costs no request and no checkpoint: the one that could not be noted is noted first when it is back."""
    world.place.fault = fault
    for _ in range(3):
        world.read("sys/mounts")
        world.first.checkpointer.look()
        world.clock.advance(SETTINGS.interval_seconds)
    assert world.first.checkpointer.failures == 3
    assert not world.place.lines
    world.place.fault = None
    world.read("sys/mounts")
    world.first.checkpointer.look()
    assert [checkpoint.number for checkpoint in signed(world)] == [1, 2]
    covered(world, log)


def test_failing_place_is_not_asked_again_at_once(world: World) -> None:
    """A place that is down is left alone for a while."""
    world.place.fault = OSError("down")
    for _ in range(5):
        world.first.checkpointer.look()
    assert world.first.checkpointer.failures == 1


def test_failing_place_keeps_nobody_from_sealing(world: World) -> None:
    """Sealing is an emergency brake: it works without a checkpoint."""
    world.place.fault = OSError("down")
    world.write("sys/seal")
    assert world.page.read_seal().sealed


def test_log_that_was_set_back_is_noticed(world: World, log: Path) -> None:
    """Where records are lost that a checkpoint covers, the next checkpoint shows it, and so does the verifier."""
    for _ in range(3):
        world.read("sys/mounts")
    world.first.checkpointer.look()
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:2]))
    restart(world)
    world.read("sys/mounts")
    world.first.checkpointer.look()
    with pytest.raises(coverage.WrongCheckpoint) as found:
        read_place(world)
    assert found.value.kind == "rollback"


def test_last_checkpoints_are_told(world: World) -> None:
    """An operator can note the last checkpoint of every log elsewhere, signature included."""
    world.first.checkpointer.look()
    (line,) = world.read("sys/config/auditing/checkpoints")["checkpoints"]
    assert line.encode() == world.place.lines[-1]
    key = public_key(world)
    assert check(line.encode(), {key.id: key}).line == world.place.lines[-1]


# -- the place -----------------------------------------------------------------------------------------------------------


def test_file_goes_on_after_half_a_line(tmp_path: Path) -> None:
    """Half a line that a killed writer left is cut off, as the same line is delivered again; anything else is left alone."""
    path = tmp_path / "checkpoints"
    place = FilePlace(path)
    place.append(b"first")
    place.append(b"second")
    path.write_bytes(b"first\nsec")
    place.append(b"second")
    assert path.read_bytes() == b"first\nsecond\n"
    path.write_bytes(b"first\nstrange")
    with pytest.raises(OSError, match="damaged"):
        place.append(b"second")
    assert path.read_bytes() == b"first\nstrange"


def test_file_is_private_and_no_link(tmp_path: Path) -> None:
    """The file is its owner's alone; a link or a pipe in its place is refused, and a folder that is gone stays gone."""
    path = tmp_path / "checkpoints"
    FilePlace(path).append(b"line")
    with pytest.raises(FileNotFoundError):
        FilePlace(tmp_path / "gone" / "checkpoints").append(b"line")
    assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError, match="symbolic"):
        FilePlace(tmp_path / "link").append(b"line")
    with pytest.raises(OSError, match="not a regular file"):
        FilePlace(Path("/dev/null")).append(b"line")


# -- the statement -------------------------------------------------------------------------------------------------------

KEY = SigningKey(bytes(range(32)))
KEYS = {KEY.public.id: KEY.public}


def make_checkpoint(number: int = 1, seq: int = 5, prev: str = "0" * 64) -> bytes:
    """Return a signed line."""
    checkpoint = Checkpoint(
        time="2026-01-02T03:04:05Z", reason="interval", device="file/", medium="file", log="ab" * 16, seq=seq, hash="cd" * 32, count=seq,
        number=number, prev=prev, key=KEY.public.id,
    )  # fmt: skip
    return sign(checkpoint, KEY)


def test_every_byte_of_a_checkpoint_is_covered() -> None:
    """Whatever bit is turned, the line does not pass, or is not the line that its successor names."""
    line = make_checkpoint()
    assert check(line, KEYS).line == line
    for place in range(len(line)):
        for bit in range(8):
            changed = bytearray(line)
            changed[place] ^= 1 << bit
            with pytest.raises(ValueError):
                check(bytes(changed), KEYS)


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b'{"time":"', make_checkpoint()[:-1], make_checkpoint() + b" ", make_checkpoint() * 2, make_checkpoint(number=0),
     make_checkpoint(seq=-1), make_checkpoint(prev="x"), b"\xff" * 100, b'{"time":"' + b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(line: bytes) -> None:
    """Malformed, cut and doubled lines are refused, and never crash."""
    with pytest.raises(ValueError):
        check(line, KEYS)


def test_another_key_is_refused() -> None:
    """A checkpoint that another key signed is none, whatever id it claims."""
    other = SigningKey(bytes(32))
    with pytest.raises(ValueError, match="another key"):
        check(make_checkpoint(), {other.public.id: other.public})
    with pytest.raises(ValueError, match="changed"):
        check(make_checkpoint(), {KEY.public.id: other.public})


def test_words_before_a_checkpoint_are_left_out() -> None:
    """A syslog daemon may put time and host before the line."""
    assert check(b"<37>Jan  2 host health-vault: " + make_checkpoint(), KEYS).line == make_checkpoint()


def test_closing_is_no_checkpoint() -> None:
    """What is signed as one is never taken for the other."""
    closing = Closing(time="2026-01-02T03:04:05Z", partitions=("p",), logs=(), number=1, prev="0" * 64, key=KEY.public.id)
    line = sign(closing, KEY)
    assert check(line, KEYS).statement == closing
    with pytest.raises(ValueError):
        parse_checkpoint(line)


@pytest.mark.parametrize(
    ("second", "kind", "number"),
    [
        (make_checkpoint(number=2, seq=6, prev="ef" * 32), "spliced", 2),
        (make_checkpoint(number=3, seq=6, prev=hash_line(make_checkpoint())), "missing", 2),
        (make_checkpoint(number=2, seq=5, prev=hash_line(make_checkpoint())), "rollback", 5),
        (make_checkpoint(number=1, seq=6), "reordered", 1),
    ],
    ids=["spliced", "missing", "rollback", "reordered"],
)
def test_signed_checkpoints_that_do_not_follow_are_refused(second: bytes, kind: str, number: int) -> None:
    """The right key is not enough: of two histories that it signed only one can be."""
    with pytest.raises(coverage.WrongCheckpoint) as wrong:
        coverage.read([("place", [make_checkpoint(), second])], KEYS)
    assert (wrong.value.kind, wrong.value.number, wrong.value.line) == (kind, number, 2)
