from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from api.framing import ChunkedBody, LengthBody
from vault.errors import TooLarge

REST = b"GET / HTTP/1.1\r\n\r\n"


def feed(body: ChunkedBody | LengthBody, data: bytes, cuts: list[int]) -> bytes:
    """Hand over data in pieces; return what is left over."""
    rest, places = b"", sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        piece = data[start:end]
        rest += piece if body.is_whole or body.error is not None else body.take(piece)
    return rest


@given(chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=8), cuts=st.lists(st.integers(0, 1000), max_size=12))
def test_chunks_are_the_same_wherever_they_are_cut(chunks: list[bytes], cuts: list[int]) -> None:
    """However the network cuts it, the body is what was sent, and what follows is left alone."""
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n" + REST
    body = ChunkedBody(1000)
    assert feed(body, data, cuts) == REST
    assert (body.is_whole, body.error, body.open().read()) == (True, None, b"".join(chunks))


@given(data=st.binary(max_size=60), cuts=st.lists(st.integers(0, 1000), max_size=8))
def test_length_is_kept_wherever_the_body_is_cut(data: bytes, cuts: list[int]) -> None:
    """A body ends where its length says."""
    body = LengthBody(len(data))
    assert feed(body, data + REST, cuts) == REST
    assert body.is_whole
    assert body.open().read() == data


@given(data=st.binary(max_size=80), cuts=st.lists(st.integers(0, 1000), max_size=6))
def test_any_bytes_are_chunks_or_refused_the_same_way(data: bytes, cuts: list[int]) -> None:
    """Where bytes are cut decides nothing, also for bytes that are no chunks."""
    whole, cut = ChunkedBody(50), ChunkedBody(50)
    rests = [feed(whole, data, []), feed(cut, data, cuts)]
    assert (whole.is_whole, type(whole.error)) == (cut.is_whole, type(cut.error))
    if whole.is_whole:
        assert whole.open().read() == cut.open().read()
        assert rests[0] == rests[1]


def test_chunks_are_refused_at_the_limit() -> None:
    """The announcement of one byte too many is enough."""
    body = ChunkedBody(10)
    body.take(b"a\r\n0123456789\r\n1\r\n")
    assert isinstance(body.error, TooLarge)


def test_waiting_body_says_what_it_holds() -> None:
    """What is kept for a client that is slow is counted."""
    chunked, plain = ChunkedBody(1000), LengthBody(1000)
    chunked.take(b"3\r\nabc\r\n64\r\nxyz")
    plain.take(b"abc")
    assert (chunked.held, plain.held) == (6, 3)
