"""The verifier against a log that is tampered with in every way, and against what is no log at all."""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.vault.audit.world import Page, body, write_log
from vault.audit.verify import Report, verify

RECORDS = 12
ROUNDS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampered:
    """A log after somebody was at it, and what must be found."""

    lines: list[bytes]
    line: int  # the first that is wrong, counted from 1
    kinds: frozenset[str]
    number: int


def _edit(chance: random.Random, lines: list[bytes], _: list[bytes]) -> Tampered:
    at = chance.randrange(len(lines))
    line = bytearray(lines[at])
    place = chance.randrange(len(line))
    line[place] ^= chance.randrange(1, 256)
    kinds = {"edited", "malformed"}
    return Tampered(lines=[*lines[:at], bytes(line), *lines[at + 1 :]], line=at + 1, kinds=frozenset(kinds), number=at + 1)


def _lengthen(chance: random.Random, lines: list[bytes], _: list[bytes]) -> Tampered:
    at = chance.randrange(len(lines))
    place = chance.randrange(len(lines[at]))
    line = lines[at][:place] + chance.randbytes(chance.randrange(1, 9)) + lines[at][place:]
    return Tampered(lines=[*lines[:at], line, *lines[at + 1 :]], line=at + 1, kinds=frozenset({"edited", "malformed"}), number=at + 1)


def _renumber(chance: random.Random, lines: list[bytes], _: list[bytes]) -> Tampered:
    at = chance.randrange(len(lines))
    line = lines[at].replace(b'"seq":%d,' % (at + 1), b'"seq":%d,' % chance.choice([0, at + 2, 10**30, -1]))
    return Tampered(lines=[*lines[:at], line, *lines[at + 1 :]], line=at + 1, kinds=frozenset({"edited", "malformed"}), number=at + 1)


def _delete(chance: random.Random, lines: list[bytes], _: list[bytes]) -> Tampered:
    first = chance.randrange(len(lines) - 1)
    last = chance.randrange(first + 1, len(lines))
    return Tampered(lines=lines[:first] + lines[last:], line=first + 1, kinds=frozenset({"missing"}), number=first + 1)


def _cut_head(chance: random.Random, lines: list[bytes], _: list[bytes]) -> Tampered:
    return Tampered(lines=lines[chance.randrange(1, len(lines)) :], line=1, kinds=frozenset({"missing"}), number=1)


def _insert(chance: random.Random, lines: list[bytes], other: list[bytes]) -> Tampered:
    at = chance.randrange(len(lines) + 1)
    line = chance.choice(
        [b"\n", b"{}\n", other[0].replace(b"id-0", b"id-9"), lines[0].replace(b'"seq":1,', b'"seq":%d,' % (at + 1)), b"\x00\n"]
    )
    if at == 0 and line == lines[0]:
        line = b"\n"
    return Tampered(lines=[*lines[:at], line, *lines[at:]], line=at + 1, kinds=frozenset({"malformed", "edited"}), number=at + 1)


def _duplicate(chance: random.Random, lines: list[bytes], _: list[bytes]) -> Tampered:
    at = chance.randrange(len(lines))
    to = chance.randrange(at + 1, len(lines) + 1)
    kind = "repeated" if to == at + 1 else "reordered"
    return Tampered(lines=[*lines[:to], lines[at], *lines[to:]], line=to + 1, kinds=frozenset({kind}), number=at + 1)


def _swap(chance: random.Random, lines: list[bytes], _: list[bytes]) -> Tampered:
    one, two = sorted(chance.sample(range(len(lines)), 2))
    changed = list(lines)
    changed[one], changed[two] = changed[two], changed[one]
    return Tampered(lines=changed, line=one + 1, kinds=frozenset({"missing"}), number=one + 1)


def _splice(chance: random.Random, lines: list[bytes], other: list[bytes]) -> Tampered:
    at = chance.randrange(len(lines))
    end = chance.randrange(at + 1, len(lines) + 1)
    if at == 0:  # the other log's beginning is a beginning; what follows does not belong to it
        end = chance.randrange(1, len(lines))
        return Tampered(lines=other[:end] + lines[end:], line=end + 1, kinds=frozenset({"spliced"}), number=end + 1)
    return Tampered(lines=lines[:at] + other[at:end] + lines[end:], line=at + 1, kinds=frozenset({"spliced"}), number=at + 1)


def _tear(chance: random.Random, lines: list[bytes], _: list[bytes]) -> Tampered:
    at = chance.randrange(len(lines))
    line = lines[at][: chance.randrange(1, len(lines[at]))]
    rest = lines[at + 1 :] if chance.random() < 0.5 else []
    return Tampered(lines=[*lines[:at], line, *rest], line=at + 1, kinds=frozenset({"malformed", "edited"}), number=at + 1)


_TAMPERINGS: tuple[Callable[[random.Random, list[bytes], list[bytes]], Tampered], ...] = (
    _edit, _lengthen, _renumber, _delete, _cut_head, _insert, _duplicate, _swap, _splice, _tear,
)  # fmt: skip


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], list[bytes]]:
    """Return the lines of two logs of the same length."""
    folder = tmp_path_factory.mktemp("logs")
    return write_log(folder / "one", RECORDS), write_log(folder / "two", RECORDS)


@pytest.mark.parametrize("tamper", _TAMPERINGS, ids=lambda tamper: tamper.__name__.strip("_"))
def test_verify_finds_every_tampering(
    tmp_path: Path, logs: tuple[list[bytes], list[bytes]], tamper: Callable[[random.Random, list[bytes], list[bytes]], Tampered]
) -> None:
    """Of 10,000 random tamperings none passes, and the record and the line that are named are the right ones."""
    chance = random.Random(f"audit {tamper.__name__}")
    lines, other = logs
    path = tmp_path / "log"
    for _ in range(ROUNDS // len(_TAMPERINGS)):
        tampered = tamper(chance, lines, other)
        path.write_bytes(b"".join(tampered.lines))
        finding = verify([path]).finding
        assert finding is not None, tampered
        assert (finding.line, finding.number) == (tampered.line, tampered.number), (finding, tampered)
        assert finding.kind in tampered.kinds, (finding, tampered)


def _head(report: Report) -> tuple[int, str]:
    return report.last, report.head


def test_verify_finds_a_cut_tail_only_by_a_noted_head(tmp_path: Path, logs: tuple[list[bytes], list[bytes]]) -> None:
    """A log without its end is a log; who noted the head elsewhere sees that it is short."""
    path = tmp_path / "log"
    path.write_bytes(b"".join(logs[0]))
    head = _head(verify([path]))
    for kept in range(1, RECORDS):
        path.write_bytes(b"".join(logs[0][:kept]))
        assert verify([path]).ok
        finding = verify([path], expected_head=head).finding
        assert finding is not None
        assert (finding.kind, finding.number) == ("cut", kept + 1)


def test_verify_accepts_a_log_that_went_on_after_the_noted_head(tmp_path: Path, logs: tuple[list[bytes], list[bytes]]) -> None:
    """Yesterday's head is good for today's log."""
    path = tmp_path / "log"
    path.write_bytes(b"".join(logs[0][:5]))
    head = _head(verify([path]))
    path.write_bytes(b"".join(logs[0]))
    assert verify([path], expected_head=head).ok


def test_verify_finds_a_log_that_was_written_anew(tmp_path: Path, logs: tuple[list[bytes], list[bytes]]) -> None:
    """Whoever rewrites the whole chain makes a log that is right in itself, but not the one whose head was noted."""
    path = tmp_path / "log"
    path.write_bytes(b"".join(logs[0][:5]))
    head = _head(verify([path]))
    path.write_bytes(b"".join(logs[1]))
    assert verify([path]).ok
    finding = verify([path], expected_head=head).finding
    assert finding is not None
    assert (finding.kind, finding.number) == ("spliced", 5)


def test_verify_takes_up_a_chain_in_the_middle(tmp_path: Path, logs: tuple[list[bytes], list[bytes]]) -> None:
    """Where earlier files are archived elsewhere, number and hash say what the next one must continue."""
    path = tmp_path / "log"
    path.write_bytes(b"".join(logs[0][:5]))
    before = verify([path])
    path.write_bytes(b"".join(logs[0][5:]))
    assert not verify([path]).ok
    assert not verify([path], start=6).ok
    assert not verify([path], start=5, previous=before.head).ok
    report = verify([path], start=6, previous=before.head)
    assert report.ok
    assert (report.first, report.last, report.records) == (6, RECORDS, RECORDS - 5)
    finding = verify([path], start=6, previous=before.head, expected_head=(3, before.head)).finding
    assert finding is not None
    assert finding.kind == "cut"


def test_verify_reads_rotated_files_as_one_log(tmp_path: Path, logs: tuple[list[bytes], list[bytes]]) -> None:
    """Files in order are one log; in another order, with one left out or twice they are not."""
    files = [tmp_path / name for name in "abc"]
    for index, file in enumerate(files):
        file.write_bytes(b"".join(logs[0][index * 4 : index * 4 + 4]))
    assert verify(files).records == RECORDS
    for wrong in ([files[1], files[0], files[2]], [files[0], files[2]], [files[0], files[0]], files[1:], files[::-1]):
        report = verify(wrong)
        assert report.finding is not None
        assert report.finding.line == 1


_DEEP = b'{"time":' + b"[" * 100_000 + b"]" * 100_000 + b',"seq":1,"hash":"' + b"0" * 64 + b'"}\n'


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", b"\n\n\n", b"{}\n", b"[]\n", b"null\n", b"0\n", b"hello\n", b"\x00" * 4096, b"\xff\xfe\n", b"\xef\xbb\xbf{}\n",
        b"x" * 5_000_000,         _DEEP, b'{"hash":"' + b"0" * 64 + b'"}\n', b'{"seq":null,"hash":"' + b"0" * 64 + b'"}\n',
        b'{"seq":1e999,"hash":"' + b"0" * 64 + b'"}\n',
        b'{"seq":"1","hash":"' + b"\xff" * 64 + b'"}\n', b'"a","hash":"' + b"0" * 64 + b'"}\n',
    ],
    ids=range(18),
)  # fmt: skip
def test_verify_refuses_what_is_no_log(tmp_path: Path, content: bytes) -> None:
    """Nothing that is not a log is found good, and nothing makes the verifier fail."""
    path = tmp_path / "log"
    path.write_bytes(content)
    report = verify([path])
    assert not report.ok
    assert report.records == 0


@pytest.mark.parametrize("changed", [b'"seq":true', b'"seq":1.0', b'"seq":"1"', b'"seq":[1]', b'"seq":{}', b'"sequence":1'])
def test_verify_refuses_a_number_that_is_none(tmp_path: Path, changed: bytes) -> None:
    """A record whose hash is right and whose number is nonsense is refused, not stumbled over."""
    hashed = b'{"time":"t","log":"%b",%b,"prev":"%b"' % (b"0" * 32, changed, b"0" * 64)
    path = tmp_path / "log"
    path.write_bytes(b'%b,"hash":"%b"}\n' % (hashed, hashlib.sha256(hashed).hexdigest().encode()))
    assert not verify([path]).ok


def test_verify_refuses_another_end_of_the_last_line(tmp_path: Path, logs: tuple[list[bytes], list[bytes]]) -> None:
    """The last byte counts like every other."""
    path = tmp_path / "log"
    for end in (b"", b" ", b"}", b"\r", b"\0"):
        path.write_bytes(b"".join(logs[0])[:-1] + end)
        finding = verify([path]).finding
        assert finding is not None
        assert (finding.kind, finding.number) == ("malformed", RECORDS)


def test_verify_refuses_a_record_that_names_another_log(tmp_path: Path, logs: tuple[list[bytes], list[bytes]]) -> None:
    """A log has one name, also where somebody made number, link and hash fit."""
    path = tmp_path / "log"
    path.write_bytes(logs[0][0])
    hashed = b'{"time":"t","log":"%b","seq":2,"prev":"%b"' % (b"f" * 32, verify([path]).head.encode())
    path.write_bytes(logs[0][0] + b'%b,"hash":"%b"}\n' % (hashed, hashlib.sha256(hashed).hexdigest().encode()))
    finding = verify([path]).finding
    assert finding is not None
    assert (finding.kind, finding.number) == ("spliced", 2)


def test_verify_never_fails_on_noise(tmp_path: Path, logs: tuple[list[bytes], list[bytes]]) -> None:
    """Random bytes, alone or amid a log, are a finding."""
    chance = random.Random("noise")
    path = tmp_path / "log"
    for _ in range(300):
        path.write_bytes(b"".join(logs[0][: chance.randrange(4)]) + chance.randbytes(chance.randrange(1, 3000)))
        assert not verify([path]).ok


def test_verify_refuses_a_file_without_records_among_others(tmp_path: Path, logs: tuple[list[bytes], list[bytes]]) -> None:
    """A log that was emptied does not pass for one that is not there."""
    path, empty = tmp_path / "log", tmp_path / "empty"
    path.write_bytes(b"".join(logs[0]))
    empty.touch()
    for files in ([path, empty], [empty, path], [empty], []):
        finding = verify(files).finding
        assert finding is not None
        assert finding.kind == "empty"


@pytest.mark.parametrize(
    "make", [lambda _: None, lambda path: path.mkdir(), lambda path: path.symlink_to(path)], ids=["absent", "folder", "loop"]
)
def test_verify_names_a_file_that_cannot_be_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """What cannot be read is a finding that names the file."""
    make(tmp_path / "log")
    finding = verify([tmp_path / "log"]).finding
    assert finding is not None
    assert (finding.kind, finding.file) == ("unreadable", str(tmp_path / "log"))
    assert verify([Path("a\0b")]).finding is not None


def test_verify_reports_what_it_checked(tmp_path: Path) -> None:
    """A good log tells its first and last number and its head, which the next check can expect."""
    path = tmp_path / "log"
    chain = Page().file_chain(path)
    for index in range(3):
        chain.append(body(index))
    report = verify([path])
    assert (report.records, report.first, report.last) == (3, 1, 3)
    assert path.read_bytes().endswith(b'"hash":"%b"}\n' % report.head.encode())
