"""What a checkpoint says, and how it is signed: one line of JSON that ends with the signature over all its bytes before that.

The signed bytes are the written ones, as with audit records: there is nothing to interpret. A head of a log is signed as a
`Checkpoint`; a `Closing` says how the records ended that were removed from the table after their retention.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from vault.audit.chain import BEGINNING
from vault.crypto.signature import SIGNATURE_BYTES, PublicKey, SigningKey

NO_CHECKPOINT = "0" * 64  # what the first of a chain follows
_SIGNATURE_FIELD = b',"signature":"'
_DOMAIN = b"health-vault audit checkpoint 1\n"  # what is signed for another purpose never passes for one of these
_HEX_DIGITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The head of one log at one moment. The checkpoints of a log are a chain of their own."""

    time: str
    type: str = "checkpoint"
    reason: str  # start, interval, records, rotation, seal, stop, closing
    device: str
    medium: str  # kind of the device
    log: str
    seq: int  # last record that it covers
    hash: str  # of that record
    count: int  # records since the checkpoint before
    number: int
    prev: str  # hash of the checkpoint before
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLog:
    """What removed partitions held of one log."""

    log: str
    first: int
    seq: int  # of its last record
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The end of partitions of the audit table. The closings of a cluster are a chain of their own."""

    time: str
    type: str = "closing"
    partitions: tuple[str, ...]
    logs: tuple[ClosedLog, ...]
    number: int
    prev: str
    key: str


S = TypeVar("S", Checkpoint, Closing)


@dataclass(frozen=True, slots=True)
class Signed(Generic[S]):
    """A statement with the line it was read from or is written as."""

    statement: S
    line: bytes

    @property
    def hash(self) -> str:
        """Return what the next statement of the chain names."""
        return hash_line(self.line)


def hash_line(line: bytes) -> str:
    """Return the hash of a statement's line."""
    return hashlib.sha256(line).hexdigest()


def sign(statement: Checkpoint | Closing, key: SigningKey) -> bytes:
    """Return the line of a statement, without a newline."""
    body = msgspec.json.encode(statement)[:-1]
    return b'%b%b%b"}' % (body, _SIGNATURE_FIELD, key.sign(_DOMAIN + body).hex().encode())


def parse_checkpoint(line: bytes) -> Signed[Checkpoint]:
    """Return what a line of ours says, its signature unchecked; raises ValueError."""
    return Signed(_decode(_split(line)[1], Checkpoint, "checkpoint"), line)


def parse_closing(line: bytes) -> Signed[Closing]:
    """Return what a line of ours says, its signature unchecked; raises ValueError."""
    return Signed(_decode(_split(line)[1], Closing, "closing"), line)


def check(line: bytes, keys: Mapping[str, PublicKey]) -> Signed[Any]:
    """Return what a line says if one of the keys signed it; raises ValueError. What stands before the statement is left out."""
    line, body, signature = _split(line)
    found = _decode_any(body)
    key = keys.get(found.key)
    if key is None:
        raise ValueError(f"it is signed with another key: {found.key!r}")
    if not key.has_signed(_DOMAIN + body, signature):
        raise ValueError("it was changed after it was signed")
    return Signed(found, line)


def _split(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the line of the statement, the signed bytes and the signature."""
    begin = line.find(BEGINNING)  # a syslog daemon puts its own words before
    line = line[max(begin, 0) :]
    body, separator, rest = line.rpartition(_SIGNATURE_FIELD)
    if begin < 0 or not separator or len(rest) != 2 * SIGNATURE_BYTES + 2:
        raise ValueError("it is not a signed statement")
    signature = bytes.fromhex(rest[:-2].decode("ascii", "replace"))
    if rest != signature.hex().encode() + b'"}':  # another spelling of the same signature would be another hash
        raise ValueError("its signature is not written as it should be")
    return line, body, signature


def _decode_any(body: bytes) -> Checkpoint | Closing:
    try:
        kind = bytes(msgspec.json.decode(body + b"}", type=dict[str, msgspec.Raw]).get("type", b""))
    except (msgspec.MsgspecError, RecursionError) as cause:
        raise ValueError(f"it is not a statement: {cause}") from None
    return _decode(body, Closing, "closing") if kind == b'"closing"' else _decode(body, Checkpoint, "checkpoint")


def _decode(body: bytes, form: type[S], name: str) -> S:
    try:
        found = msgspec.json.decode(body + b"}", type=form)
    except (msgspec.MsgspecError, RecursionError) as cause:
        raise ValueError(f"it is not a statement: {cause}") from None
    ends: Any = getattr(found, "logs", (found,))
    if found.type != name or not _is_sound(found.number, found.prev) or not all(_is_sound(end.seq, end.hash) for end in ends):
        raise ValueError("its type, a number or a hash is none")
    return found


def _is_sound(number: int, digest: str) -> bool:
    return 0 < number < 2**63 and len(digest) == _HEX_DIGITS and set(digest) <= set("0123456789abcdef")
