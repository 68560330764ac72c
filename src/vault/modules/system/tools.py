"""`sys/tools/*`: random bytes and hashes."""

import hashlib
from base64 import b64decode, b64encode
from dataclasses import dataclass

from vault import limits
from vault.crypto import random
from vault.errors import InvalidRequest
from vault.logical.args import INT, STRING, arg, parse_int
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response

_ENCODE = {"base64": lambda value: b64encode(value).decode(), "hex": bytes.hex}
_SOURCES = frozenset({"platform", "seal", "all"})  # all of them the operating system's generator
_ALGORITHMS = {
    **{f"sha2-{bits}": getattr(hashlib, f"sha{bits}") for bits in (224, 256, 384, 512)},
    **{f"sha3-{bits}": getattr(hashlib, f"sha3_{bits}") for bits in (224, 256, 384, 512)},
}
_BYTES_DEFAULT = 32
_PLATFORM = "platform"
_REPLACED = "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [{}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomArgs:
    """How many random bytes, and how to write them."""

    bytes: int = arg(INT, "Number of bytes.", default=_BYTES_DEFAULT)
    format: str = arg(STRING, "base64 or hex.", default="base64")
    source: str = arg(STRING, "platform, seal or all; it counts in the path only.", default=_PLATFORM)


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomPathArgs(RandomArgs):
    """The same; what stands alone in the path is a number or a source."""

    urlbytes: str = arg(STRING, "Number of bytes, or source.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class HashArgs:
    """What to hash, how, and how to write the sum."""

    input: str = arg(STRING, "The bytes to hash, in base64.", default="")
    algorithm: str = arg(STRING, "sha2-224, -256, -384, -512 or sha3-224, -256, -384, -512.", default="sha2-256")
    urlalgorithm: str = arg(STRING, "The algorithm, in the path.", default="")
    format: str = arg(STRING, "hex or base64.", default="hex")


def tool_paths() -> tuple[Path, ...]:
    """Return the table."""
    return (
        path("tools/random", help="Return random bytes.", update=Endpoint(handler=make_random, args=RandomArgs)),
        path(
            "tools/random/{urlbytes}",
            "tools/random/{source}/{urlbytes}",
            help="Return random bytes.",
            update=Endpoint(handler=make_random_by_path, args=RandomPathArgs),
        ),
        path(
            "tools/hash",
            "tools/hash/{urlalgorithm}",
            help="Return the hash of some bytes.",
            update=Endpoint(handler=hash_input, args=HashArgs),
        ),
    )


def make_random(context: SystemContext, args: RandomArgs) -> Response:
    """Answer random bytes."""
    count = 0 if context.data.get("bytes", _BYTES_DEFAULT) is None else args.bytes  # null is not absence here
    replaced = ("source",) if "source" in context.data else ()
    return _answer_random(count, args.format, _PLATFORM, replaced)


def make_random_by_path(context: SystemContext, args: RandomPathArgs) -> Response:
    """Answer random bytes; the path names their number, their source, or both."""
    if "source" not in context.match.captures and args.urlbytes in _SOURCES:
        return _answer_random(args.bytes, args.format, args.urlbytes, ())
    try:
        count = parse_int(args.urlbytes)
    except ValueError:
        raise InvalidRequest("error parsing url-set byte count") from None
    return _answer_random(count, args.format, context.match.captures.get("source", _PLATFORM), ())


def _answer_random(count: int, encoding: str, source: str, replaced: tuple[str, ...]) -> Response:
    if count < 1:
        raise InvalidRequest("'bytes' cannot be less than 1")
    if count > limits.RANDOM_BYTES_MAX:
        raise InvalidRequest(f"'bytes' should be less than {limits.RANDOM_BYTES_MAX}")
    if encoding not in _ENCODE:
        raise InvalidRequest(f'unsupported encoding format "{encoding}"; must be "hex" or "base64"')
    if source not in _SOURCES:
        raise InvalidRequest(f'unsupported entropy source "{source}"; must be "platform" or "seal", or "all"')
    warnings = ("no seal/entropy augmentation available, using platform entropy source",) if source == "seal" else ()
    text = _ENCODE[encoding](random.random_bytes(count))
    return Response(data={"random_bytes": text}, warnings=(*warnings, *map(_REPLACED.format, replaced)))


def hash_input(_context: SystemContext, args: HashArgs) -> Response:
    """Answer a hash."""
    name = args.urlalgorithm or args.algorithm
    if name not in _ALGORITHMS:
        raise InvalidRequest(f"unsupported algorithm {name}")
    if args.format not in _ENCODE:
        raise InvalidRequest(f'unsupported encoding format {args.format}; must be "hex" or "base64"')
    try:
        value = b64decode(args.input, validate=True)
    except ValueError:
        raise InvalidRequest("unable to decode input as base64: illegal base64 data") from None
    return Response(data={"sum": _ENCODE[args.format](_ALGORITHMS[name](value).digest())})
