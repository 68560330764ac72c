"""Where one request ends and the next one begins: heads by gunicorn's parser, bodies by length or in chunks.

Nothing here waits for bytes. A request is handed on when it is whole, so that slow clients cost memory, within limits, and no thread.
Strict where two readers of the same bytes could disagree: what is doubtful is refused, and nothing after it is read.
"""

import io
import re
from typing import Any

from gunicorn.http import errors as http_errors
from gunicorn.http.message import Request

from vault import limits
from vault.errors import TooLarge

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_CRLF = b"\r\n"


class PlainRequest(Request):  # type: ignore[misc]  # gunicorn has no types
    """A request of which no header is believed on the peer's word alone: whom to believe is decided by listener, in `proxies`."""

    def _peer_trusted_for_forwarded(self) -> tuple[dict[str, str], list[str]]:
        return {}, []


class Unreader:
    """What the parser reads from: bytes that are here already."""

    __slots__ = ("pending",)

    def __init__(self) -> None:
        self.pending = b""

    def read(self, _size: int | None = None) -> bytes:
        """Return all that is here; nothing tells the parser that there is no more."""
        data, self.pending = self.pending, b""
        return data

    def unread(self, data: bytes) -> None:
        """Take back what was read too much."""
        if data:
            self.pending = bytes(data) + self.pending


def parse_head(settings: Any, unreader: Unreader, client: Any, number: int) -> Any:
    """Return the request whose head is here; raises a ParseException."""
    # The parser takes several spaces for one, where others do not. What it finds too long it shall call so.
    end = unreader.pending.find(_CRLF, 0, settings.limit_request_line)
    if end >= 0 and unreader.pending.count(b" ", 0, end) != 2:
        raise http_errors.InvalidRequestLine("not three words")
    try:
        request = PlainRequest(settings, unreader, client, number)
    except (http_errors.NoMoreData, StopIteration):  # its end was seen, or should have been by now
        raise http_errors.LimitRequestHeaders("head without end") from None
    for name, value in request.headers:
        # One coding only: who else reads this message may see its end elsewhere.
        if name == "TRANSFER-ENCODING" and value.lower() != "chunked":
            raise http_errors.UnsupportedTransferCoding(value)
    return request


class LengthBody:
    """A body whose length is known."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._data = bytearray()
        self.error: Exception | None = None

    @property
    def held(self) -> int:
        """Return how many bytes are kept."""
        return len(self._data)

    @property
    def is_whole(self) -> bool:
        """Return whether nothing is missing."""
        return len(self._data) == self._length

    def take(self, data: bytes) -> bytes:
        """Keep what belongs to the body; return the rest."""
        missing = self._length - len(self._data)
        self._data += data if len(data) <= missing else data[:missing]
        return data[missing:]

    def open(self) -> io.BytesIO:
        """Return the body for reading."""
        return io.BytesIO(self._data)


class ChunkedBody:
    """A body in chunks. Trailers are refused: none of our clients sends any, and they are headers that nobody has checked."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._raw = bytearray()
        self._data = bytearray()
        self._chunks = 0
        self._size = -1  # of the chunk that has begun
        self.is_whole = False
        self.error: Exception | None = None

    @property
    def held(self) -> int:
        """Return how many bytes are kept."""
        return len(self._raw) + len(self._data)

    def take(self, data: bytes) -> bytes:
        """Keep what belongs to the body; return the rest."""
        self._raw += data
        position = 0
        while not self.is_whole and self.error is None:
            end = self._read_chunk(position) if self._size >= 0 else self._read_size(position)
            if end < 0:
                break
            position = end
        del self._raw[:position]
        if self.error is None and not self.is_whole:
            return b""
        rest, self._raw = bytes(self._raw), bytearray()
        return rest

    def _read_size(self, position: int) -> int:
        """Return where the chunk begins, or -1 while its size is not here."""
        end = self._raw.find(_CRLF, position, position + limits.CHUNK_LINE_BYTES_MAX)
        if end < 0:
            return self._refuse(OSError("chunk without size")) if len(self._raw) - position >= limits.CHUNK_LINE_BYTES_MAX else -1
        found = _SIZE_LINE.fullmatch(self._raw[position:end])
        self._chunks += 1
        if found is None or self._chunks > limits.CHUNKS_MAX:
            return self._refuse(OSError("not a chunk, or too many"))
        self._size = int(found[1], 16)
        if len(self._data) + self._size > self._bytes_max:
            return self._refuse(TooLarge())
        return end + 2

    def _read_chunk(self, position: int) -> int:
        """Return where the chunk ends, or -1 while it is not here."""
        end = position + self._size
        if len(self._raw) < end + 2:
            return -1
        if self._raw[end : end + 2] != _CRLF:
            return self._refuse(OSError("chunk without end"))
        self._data += self._raw[position:end]
        self.is_whole = self._size == 0
        self._size = -1
        return end + 2

    def _refuse(self, error: Exception) -> int:
        self.error = error
        return -1

    def open(self) -> io.BytesIO:
        """Return the body for reading."""
        return io.BytesIO(self._data)


class RefusedBody:
    """What is read in place of a body that never came whole."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, _size: int | None = None) -> bytes:
        """Raise what is wrong with the body."""
        raise self._error
