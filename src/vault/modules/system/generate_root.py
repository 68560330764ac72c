"""`sys/generate-root/*`, its authenticated twin `sys/generate-root-token/*`, and `sys/decode-token`."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from vault.errors import InvalidRequest
from vault.logical.args import SECRET, STRING, NoArgs, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, Shape
from vault.modules.system.rekey import ShareArgs
from vault.root_generation import OTP_CHARACTERS, Generation, RootGeneration, Step, decode_token
from vault.seal import Seal
from vault.secret import Secret
from vault.shares import WrongShares, parse_share
from vault.storage.transaction import Store

DOOR = "generate-root"
_NONE = Secret("")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartArgs:
    """How the token is to be encrypted."""

    otp: Secret = arg(SECRET, "A pad of 28 to 47 bytes, and so long will the token be; made by the server if missing.", default=_NONE)
    pgp_key: str = arg(STRING, "The OpenPGP key that the token is encrypted to, in place of a pad.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeArgs:
    """What a generation answered, and its pad."""

    encoded_token: str = arg(STRING, "The encoded token.", default="")
    otp: Secret = arg(SECRET, "The pad.", default=_NONE)


def decode_paths() -> tuple[Path, ...]:
    """Return the table of what needs no state."""
    return (path("decode-token", help="Decode a generated root token.", update=Endpoint(handler=decode, args=DecodeArgs, public=True)),)


def decode(_context: SystemContext, args: DecodeArgs) -> Response:
    """Answer the token."""
    if not args.encoded_token or not args.otp:
        raise InvalidRequest("provided 'encoded_token' or 'otp' is empty")
    return Response(data={"token": decode_token(args.encoded_token, args.otp)})


class GenerateRootPaths:
    """Handlers of the generation under one of its names."""

    def __init__(self, generations: RootGeneration, seal: Seal, store: Store, *, bare: bool) -> None:
        """`bare`: the old name, whose answers have no envelope and which a listener may open to all."""
        self._generations = generations
        self._seal = seal
        self._store = store
        self._bare = bare

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        prefix, door, shape = ("generate-root", DOOR, Shape.BARE) if self._bare else ("generate-root-token", "", Shape.ENVELOPE)
        endpoint = partial(Endpoint, sudo=True, door=door, free=self._bare)
        return (
            path(
                f"{prefix}/attempt",
                help="Begin, follow or give up the generation of a root token.",
                shape=shape,
                read=endpoint(handler=self.read),
                update=endpoint(handler=self.start, args=StartArgs),
                delete=endpoint(handler=self.cancel),
            ),
            path(f"{prefix}/update", help="Give a key share.", shape=shape, update=endpoint(handler=self.update, args=ShareArgs)),
        )

    def start(self, context: SystemContext, args: StartArgs) -> Response:
        """Begin; a pad made here is shown this once."""
        generation, made = self._generations.start(context.transaction, args.otp, args.pgp_key)
        return self._tell(context, generation, made)

    def read(self, context: SystemContext, _: Any) -> Response:
        """Tell how far a generation is."""
        return self._tell(context, self._generations.find(context.transaction), "")

    def _tell(self, context: SystemContext, generation: Generation | None, otp: str) -> Response:
        data: dict[str, Any] = {
            "started": generation is not None,
            "progress": len(generation.given) if generation else 0,
            "required": self._find_threshold(context),
            "complete": False,
            "otp": otp,
            "otp_length": OTP_CHARACTERS,
        }
        if generation is not None or self._bare:
            data |= {"nonce": generation.nonce if generation else "", "pgp_fingerprint": generation.fingerprint if generation else ""}
        return Response(data=data | ({"encoded_token": "", "encoded_root_token": ""} if self._bare else {}))

    def _find_threshold(self, context: SystemContext) -> int:
        config = self._seal.find_config(context.transaction)
        return config.threshold if config else 0

    def cancel(self, context: SystemContext, _: NoArgs) -> None:
        """Give up a generation; none is no error."""
        self._generations.cancel(context.transaction)

    def update(self, context: SystemContext, args: ShareArgs) -> Response:
        """Take a share; with enough of them, answer the encoded token."""
        if not args.nonce and not self._bare:
            raise InvalidRequest("nonce is required")
        if not args.key:
            raise InvalidRequest("'key' must be specified in request body as JSON")
        required = self._find_threshold(context)
        try:
            step = self._generations.update(context.transaction, parse_share(args.key.reveal()), args.nonce)
        except WrongShares:
            context.if_refused.append(partial(self._store.run, partial(self._generations.forget_given, nonce=args.nonce)))
            raise
        return Response(data=self._describe(step, required))

    def _describe(self, step: Step, required: int) -> dict[str, Any]:
        complete = bool(step.encoded_token)
        data: dict[str, Any] = {
            "nonce": step.generation.nonce,
            "started": True,
            "progress": step.progress,
            "required": required,
            "complete": complete,
            "encoded_token": step.encoded_token,
            "pgp_fingerprint": step.generation.fingerprint,
        }
        return data | ({"encoded_root_token": step.encoded_token, "otp": "", "otp_length": 0} if self._bare else {})
