"""`sys/wrapping/*`: opening, inspecting and moving wrapped answers.

The wrapping token is named in the body, or is itself the caller's token: then the pipeline has already taken its only use, and
that use is what opens it.
"""

from dataclasses import dataclass
from typing import Any

from vault.errors import InvalidRequest, PermissionDenied, VaultError
from vault.logical import json
from vault.logical.args import TOKEN, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.request import Request
from vault.logical.response import Response, Shape
from vault.logical.token import Token
from vault.modules.auth.tokens import TokenStore
from vault.secret import Secret
from vault.wrapping import INVALID, Wrapped, Wrapping

_EMPTY = "error validating wrapping token: token is empty"
_EMPTY_IN_BODY = "error validating wrapping token: empty token in request body"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappingArgs:
    """A wrapping token; the caller's own if none is named."""

    token: Secret | None = arg(TOKEN, "The wrapping token.", default=None)


class WrappingPaths:
    """Handlers of wrapped answers."""

    def __init__(self, wrapping: Wrapping, tokens: TokenStore) -> None:
        self._wrapping = wrapping
        self._tokens = tokens

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path("wrapping/wrap", help="Wrap the given fields.", shape=Shape.DOUBLED, update=Endpoint(handler=self.wrap, free=True)),
            path(
                "wrapping/lookup",
                help="Describe a wrapping token without opening it.",
                read=Endpoint(handler=self.lookup, public=True, args=WrappingArgs),
                update=Endpoint(handler=self.lookup, public=True, args=WrappingArgs),
            ),
            path(
                "wrapping/unwrap",
                help="Open a wrapping token.",
                update=Endpoint(handler=self.unwrap, args=WrappingArgs, stranger=_refuse_stranger),
            ),
            path(
                "wrapping/rewrap",
                help="Move a wrapped answer behind a new token.",
                update=Endpoint(handler=self.rewrap, args=WrappingArgs, stranger=_refuse_stranger),
            ),
        )

    def wrap(self, context: SystemContext, _: Any) -> Response:
        """Answer the given fields; the pipeline wraps them."""
        if not context.request.wrap_ttl_seconds:
            raise InvalidRequest("endpoint requires response wrapping to be used")
        return Response(data=context.request.data)

    def lookup(self, context: SystemContext, args: WrappingArgs) -> Response:
        """Describe a wrapping token; it stays closed."""
        _check_given(args)
        secret = args.token or context.request.token
        if not secret:
            raise PermissionDenied(_EMPTY)
        wrapped = self._wrapping.lookup(context.transaction, secret)
        return Response(
            data={
                "creation_path": wrapped.creation_path,
                "creation_time": wrapped.creation_time,
                "creation_ttl": wrapped.ttl_seconds,
            }
        )

    def unwrap(self, context: SystemContext, args: WrappingArgs) -> Response | None:
        """Answer what was wrapped, once."""
        return _replay(self._wrapping.open(context.transaction, self._named(context, args)))

    def rewrap(self, context: SystemContext, args: WrappingArgs) -> Response:
        """Answer a new wrapping token; the old one is gone."""
        return self._wrapping.rewrap(context.transaction, self._named(context, args))

    def _named(self, context: SystemContext, args: WrappingArgs) -> Token | None:
        _check_given(args)
        if args.token is None or args.token == context.request.token:
            return context.token
        return self._tokens.find(context.transaction, args.token)


def _check_given(args: WrappingArgs) -> None:
    if args.token is not None and not args.token:
        raise PermissionDenied(_EMPTY_IN_BODY)


def _refuse_stranger(request: Request) -> VaultError:
    """Say to a caller without a live token what is wrong with it: it stands for the wrapping token where the body names none."""
    if request.data.get("token") is not None:
        return PermissionDenied()
    return InvalidRequest(INVALID) if request.token else PermissionDenied(_EMPTY)


def _replay(wrapped: Wrapped) -> Response | None:
    """Return the stored answer as it was; the audit trail hashes what it carries like any other answer."""
    if not wrapped.body:
        return None
    return Response(body=wrapped.body.encode(), data=json.decode_own(wrapped.body))
