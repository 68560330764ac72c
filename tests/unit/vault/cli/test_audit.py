"""`audit verify`, `search` and `tail` on files: exit codes, what is printed, and what is refused."""

import gzip
import json
import logging.handlers
import socket
from base64 import b64encode
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from tests.unit.vault.audit.tampering import COVERED, FORGED, KEY, RECORDS, Log, cut_tail, make_log, rechain, sign_heads
from vault.audit.places import SyslogPlace
from vault.cli.audit import audit
from vault.errors import InvalidRequest

PUBLIC = b64encode(KEY.public.raw).decode()


def run(*arguments: str | Path, **environment: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(
        audit, [str(argument) for argument in arguments], env={"HEALTH_VAULT_STORAGE_CONNECTION_URL": None, **environment}
    )


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Return a log in `log`, with its checkpoints in `log.checkpoints`."""
    made = make_log(tmp_path / "log")
    (tmp_path / "log.checkpoints").write_bytes(b"".join(line + b"\n" for line in made.checkpoints))
    return made


def covered_by(folder: Path) -> tuple[str | Path, ...]:
    """Return the options that name the checkpoints."""
    return "--checkpoints", folder / "log.checkpoints", "--key", PUBLIC


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "give files"),
        (("log", "--checkpoints", "x"), "go together"),
        (("log", "--key", PUBLIC), "go together"),
        (("log", "--checkpoints", "x", "--key", "no key"), "--key"),
        (("log", "--checkpoints", "x", "--key", PUBLIC[:-8]), "--key"),
        (("log", "--head", "x"), "--head"),
        (("--database", "postgresql://me:secret@db/x"), "command line"),
        (("--database", "no url"), "connection URL"),
        (("--database", "postgresql://db/x", "--start", "5"), "for files"),
        (("--database", "postgresql://db/x", "--head", "5:x"), "--log"),
        (("log", "--checkpoints", "table", "--key", PUBLIC), "name the database"),
    ],
)
def test_verify_refuses_what_it_cannot_mean(arguments: tuple[str, ...], text: str) -> None:
    """A wrong command line is refused before anything is read; a password on it is, too, and is not shown."""
    result = run("verify", *arguments)
    assert result.exit_code == 2
    assert text in result.output
    assert "secret" not in result.output


def test_password_may_come_from_the_environment() -> None:
    """In the environment, a URL with a password is no mistake; that nobody answers is told without it."""
    result = run("verify", HEALTH_VAULT_STORAGE_CONNECTION_URL="postgresql://me:secret@127.0.0.1:1/x")
    assert result.exit_code == 1
    assert "cannot be read" in result.output
    assert "secret" not in result.output


@pytest.mark.usefixtures("log")
def test_verify_tells_how_far_a_log_is_covered(tmp_path: Path) -> None:
    """A good log is told with its head, and with what no checkpoint covers yet."""
    result = run("verify", tmp_path / "log", *covered_by(tmp_path))
    assert result.exit_code == 0, result.output
    assert f"OK: {RECORDS} records, 1 to {RECORDS}; head {RECORDS}:" in result.output
    assert "not yet covered by a checkpoint: 3 records" in result.output
    found = json.loads(run("verify", tmp_path / "log", *covered_by(tmp_path), "--json").output)
    assert found["ok"] is True
    assert (found["logs"][0]["covered"], found["logs"][0]["uncovered"]) == (COVERED[-1], 3)


@pytest.mark.usefixtures("log")
def test_verify_takes_a_file_with_the_key(tmp_path: Path) -> None:
    """The key may be in a file."""
    (tmp_path / "key").write_text(PUBLIC + "\n")
    assert run("verify", tmp_path / "log", "--checkpoints", tmp_path / "log.checkpoints", "--key", tmp_path / "key").exit_code == 0


def test_verify_reads_compressed_files(tmp_path: Path, log: Log) -> None:
    """A rotated file that was compressed is part of the log; one that was cut is unreadable."""
    packed = gzip.compress(b"".join(line + b"\n" for line in log.lines[:10]))
    (tmp_path / "log.1.gz").write_bytes(packed)
    (tmp_path / "log").write_bytes(b"".join(line + b"\n" for line in log.lines[10:]))
    assert run("verify", tmp_path / "log.1.gz", tmp_path / "log", *covered_by(tmp_path)).exit_code == 0
    for damaged in (packed[:-20], packed[:20], b"no gzip", b""):
        (tmp_path / "log.1.gz").write_bytes(damaged)
        result = run("verify", tmp_path / "log.1.gz", tmp_path / "log")
        assert result.exit_code == 1, damaged
        assert result.exception is None or isinstance(result.exception, SystemExit)


def test_verify_names_the_record(tmp_path: Path, log: Log) -> None:
    """A fault is told with its kind and its record, in words and as JSON, and the exit code is 1."""
    import random

    tampered = cut_tail(random.Random(1), log, log)
    (tmp_path / "log").write_bytes(b"".join(line + b"\n" for line in tampered.lines))
    result = run("verify", tmp_path / "log", *covered_by(tmp_path))
    assert result.exit_code == 1
    assert f"record {tampered.number}: record {tampered.number} and those after it up to {COVERED[-1]} are missing" in result.output
    result = run("verify", tmp_path / "log", *covered_by(tmp_path), "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["logs"][0]["finding"]["number"] == tampered.number


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b"\xff" * 1000, b'{"time":"' * 5000])
def test_verify_refuses_checkpoints_that_are_none(tmp_path: Path, content: bytes) -> None:
    """An empty or strange file of checkpoints proves nothing, and is not passed over."""
    (tmp_path / "log.checkpoints").write_bytes(content)
    for extra in ((), ("--json",)):
        result = run("verify", tmp_path / "log", *covered_by(tmp_path), *extra)
        assert result.exit_code == 1
        assert isinstance(result.exception, SystemExit)


def test_verify_refuses_another_log_and_another_key(tmp_path: Path, log: Log) -> None:
    """Checkpoints of another log do not cover this one, nor do those of another cluster; a log of another name is refused."""
    other = make_log(tmp_path / "other")
    result = run("verify", tmp_path / "other", *covered_by(tmp_path))
    assert result.exit_code == 1
    assert "uncovered" in result.output
    (tmp_path / "log.checkpoints").write_bytes(sign_heads(log.lines, COVERED, FORGED)[0] + b"\n")
    result = run("verify", tmp_path / "log", *covered_by(tmp_path))
    assert result.exit_code == 1
    assert "another key" in result.output
    result = run("verify", tmp_path / "log", "--log", other.name)
    assert result.exit_code == 1
    assert "foreign" in result.output
    assert run("verify", tmp_path / "log", "--log", log.name).exit_code == 0


def test_rollback_of_all_is_found_by_a_noted_head(tmp_path: Path, log: Log) -> None:
    """Log and checkpoints that were set back together are good in themselves; a head that was noted elsewhere is not in them."""
    head = f"{COVERED[-1]}:{orjson.loads(log.lines[COVERED[-1] - 1])['hash']}"
    assert run("verify", tmp_path / "log", *covered_by(tmp_path), "--head", head).exit_code == 0
    (tmp_path / "log").write_bytes(b"".join(line + b"\n" for line in log.lines[:12]))
    (tmp_path / "log.checkpoints").write_bytes(b"".join(line + b"\n" for line in log.checkpoints[:4]))
    assert run("verify", tmp_path / "log", *covered_by(tmp_path)).exit_code == 0
    result = run("verify", tmp_path / "log", *covered_by(tmp_path), "--head", head)
    assert result.exit_code == 1
    assert "cut" in result.output


def test_prefix_is_part_of_the_record(tmp_path: Path, log: Log) -> None:
    """What a device writes before each record is hashed with it; what somebody put there is an edit."""
    prefixed = rechain([b"@cee: " + line for line in log.lines], 1, "0" * 64)
    (tmp_path / "prefixed").write_bytes(b"".join(line + b"\n" for line in prefixed))
    assert run("verify", tmp_path / "prefixed").exit_code == 0
    assert len(lines_of(run("search", tmp_path / "prefixed"))) == RECORDS
    prefixed[7] = prefixed[7].replace(b"@cee", b"@see")
    (tmp_path / "prefixed").write_bytes(b"".join(line + b"\n" for line in prefixed))
    result = run("verify", tmp_path / "prefixed")
    assert result.exit_code == 1
    assert "edited" in result.output
    assert "record 8 " in result.output


# -- search and tail -----------------------------------------------------------------------------------------------------


def record(kind: str, number: int, **members: object) -> bytes:
    """Return a record as far as readers look at it."""
    path = f"secret/data/{number}" if number % 2 else f"auth/x/{number}"
    request = {"id": f"id-{number}", "operation": "read" if number % 3 else "update", "path": path, "remote_address": "192.0.2.1"}
    auth = {"display_name": "nurse" if number % 2 else "doctor", "entity_id": f"entity-{number % 2}", "accessor": "hmac-sha256:a"}
    time = f"2026-01-0{1 + number // 10}T10:00:{number:02}.5Z"
    return orjson.dumps({"time": time, "type": kind, "auth": auth, "request": request, **members}) + b"\n"


@pytest.fixture
def readable(tmp_path: Path) -> Path:
    """Return a file with twenty requests, the last one without an answer, and things that are no records."""
    path = tmp_path / "read.log"
    lines = [b"not a record\n", b"{}\n", b"[1]\n"]
    for number in range(20):
        lines.append(record("request", number))
        if number < 19:
            lines.append(record("response", number, **({"error": "permission denied\n"} if number == 7 else {})))
    path.write_bytes(b"".join(lines))
    return path


def lines_of(result: Result) -> list[str]:
    """Return what was printed."""
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ((), 20),
        (("--limit", "3"), 3),
        (("--path", "secret/*"), 10),
        (("--path", "secret/data/7"), 1),
        (("--path", "secret"), 0),
        (("--entity", "nurse"), 10),
        (("--entity", "entity-0"), 10),
        (("--entity", "hmac-sha256:a"), 20),
        (("--entity", "nobody"), 0),
        (("--operation", "update"), 7),
        (("--since", "2026-01-02"), 10),
        (("--until", "2026-01-02T10:00:10.5Z"), 10),
        (("--since", "2026-01-02T11:00:12.5+01:00", "--until", "2026-01-02T10:00:14Z"), 2),
        (("--since", "1h"), 0),
        (("--path", "secret/*", "--entity", "nurse", "--operation", "update", "--since", "2026-01-01"), 3),
    ],
    ids=str,
)
def test_search_finds_what_is_wanted(readable: Path, options: tuple[str, ...], count: int) -> None:
    """Every option narrows; together they narrow further. A request is one line."""
    lines = [line for line in lines_of(run("search", readable, *options)) if line.startswith("2026")]
    assert len(lines) == count


def test_search_reads_as_a_person_does(readable: Path) -> None:
    """A line says when, who, what, where and how it ended."""
    (line,) = lines_of(run("search", readable, "--path", "secret/data/7"))
    assert line.split() == [
        "2026-01-01T10:00:07.5Z",
        "nurse",
        "(entity-1)",
        "read",
        "secret/data/7",
        "permission",
        "denied",
        "from",
        "192.0.2.1",
    ]
    *_, last = lines_of(run("search", readable))
    assert "no answer on record" in last


def test_search_prints_records_as_they_are(readable: Path) -> None:
    """With --json both records of a request come out."""
    found = [json.loads(line) for line in lines_of(run("search", readable, "--path", "secret/data/7", "--json"))]
    assert [record["type"] for record in found] == ["request", "response"]


@pytest.mark.parametrize("options", [("--since", "yesterday"), ("--until", "x"), ("--limit", "0")], ids=str)
def test_search_refuses_what_it_cannot_read(readable: Path, options: tuple[str, ...]) -> None:
    """A time that is none does not find everything."""
    assert run("search", readable, *options).exit_code == 2


def test_terminal_is_not_obeyed(tmp_path: Path) -> None:
    """Whatever a client put into a path or a name reaches the terminal as text."""
    path = tmp_path / "log"
    line = record("response", 1).replace(b"secret/data/1", b"x\\u001b[2J\\u202ey").replace(b"nurse", b"a\\nb")
    path.write_bytes(line)
    (shown,) = lines_of(run("search", path))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "x\\x1b[2J\\u202ey" in shown


def test_tail_shows_the_latest(readable: Path, tmp_path: Path) -> None:
    """The last requests come out, oldest first; a file that is not there is told."""
    lines = lines_of(run("tail", readable, "-n", "4", "--no-follow"))
    assert [line.split()[0][-5:-3] for line in lines] == ["15", "16", "17", "18"]
    assert run("tail", tmp_path / "none", "--no-follow").exit_code == 1
    assert run("tail", "--no-follow").exit_code == 2


def test_syslog_gets_one_datagram_for_each_checkpoint(tmp_path: Path, log: Log) -> None:
    """A collector finds the signed line after the words of syslog; when it is gone, that is an error and no silence."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as collector:
        collector.bind(str(tmp_path / "dev-log"))
        place = SyslogPlace({"address": str(tmp_path / "dev-log"), "facility": "LOCAL3", "tag": "vault"})
        place.append(log.checkpoints[0])
        head, _, line = collector.recv(65536).partition(b"vault: ")
        assert line == log.checkpoints[0]
        assert head == b"<%d>" % (logging.handlers.SysLogHandler.LOG_LOCAL3 << 3 | logging.handlers.SysLogHandler.LOG_NOTICE)
    with pytest.raises(OSError):
        place.append(log.checkpoints[0])
    for options in ({"facility": "nosuch"}, {"address": "collector"}, {"address": "collector:x"}, {"address": ":514"}):
        with pytest.raises(InvalidRequest):
            SyslogPlace(options)


def test_damaged_compressed_file_is_a_finding(tmp_path: Path, log: Log) -> None:
    """Whichever byte of it was changed, no command stumbles over it; only bytes of its head that say nothing may pass."""
    whole = gzip.compress((tmp_path / "log").read_bytes(), mtime=0)
    place = tmp_path / "log.gz"
    for at in range(10, len(whole), 7):
        place.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        assert "Error: " in run("verify", place).output, at
        assert type(run("search", place).exception) in {SystemExit, type(None)}, at
        assert "checkpoints: " in run("verify", tmp_path / "log", "--checkpoints", place, "--key", PUBLIC).output, at
    assert len(log.lines) == RECORDS


@pytest.mark.parametrize("name", ["\x1b[2J\nOK: 30 records", "", "A" * 32, None, ["x"], {"a": 1}])
def test_name_of_a_log_speaks_to_nobody(tmp_path: Path, log: Log, name: object) -> None:
    """Whoever writes a log anew cannot put words into the mouth of the verifier."""
    record = orjson.loads(log.lines[0]) | {"log": name}
    place = tmp_path / "forged\x1b[2J"
    place.write_bytes(rechain([orjson.dumps(record)], 1, "0" * 64)[0] + b"\n")
    for options in ((), covered_by(tmp_path), ("--log", log.name)):
        result = run("verify", place, *options)
        assert result.exit_code == 1
        assert "malformed" in result.output
        assert "\x1b" not in result.output
        assert not any(line.startswith("OK") for line in result.output.splitlines())
