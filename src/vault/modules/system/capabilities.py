"""`sys/capabilities*`: what a token may do on some paths. It asks the same compiled policies as enforcement does."""

from dataclasses import dataclass
from typing import Any, Protocol

from vault.errors import InvalidRequest, PermissionDenied
from vault.logical.args import LIST, SECRET, STRING, Kind, arg, parse_string
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, Shape
from vault.logical.token import Token
from vault.modules.auth.tokens import TokenStore
from vault.modules.policy.acl import Acl
from vault.secret import Secret
from vault.storage.transaction import Transaction

_NONE = Secret("")
PATHS_MAX = 1_000  # a thousand answers in one; each costs a walk over the patterns


def _parse_paths(value: Any) -> tuple[str, ...]:
    """Read paths. Unlike other lists it keeps empty ones, so that they can be refused."""
    if isinstance(value, list | tuple):
        return tuple(parse_string(item).strip() for item in value)
    return tuple(item for item in (part.strip() for part in parse_string(value).split(",")) if item)


PATHS: Kind[tuple[str, ...]] = Kind(LIST.name, LIST.schema, _parse_paths)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityArgs:
    """Some paths."""

    paths: tuple[str, ...] = arg(PATHS, "The paths.", default=())
    path: tuple[str, ...] = arg(PATHS, "Older name of `paths`.", default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCapabilityArgs(CapabilityArgs):
    """Some paths, for a token."""

    token: Secret = arg(SECRET, "The token.", default=_NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessorCapabilityArgs(CapabilityArgs):
    """Some paths, for the token with an accessor."""

    accessor: str = arg(STRING, "Accessor of the token.", default="")


class Rights(Protocol):
    """Who decides what a token may do."""

    def acl(self, reader: Transaction, token: Token) -> Acl:
        """Return what a token's policies and its entity's come to; raises PermissionDenied where that may do nothing."""


class CapabilityPaths:
    """Handlers of the question what a token may do."""

    def __init__(self, tokens: TokenStore, rights: Rights) -> None:
        self._tokens = tokens
        self._rights = rights

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path(
                "capabilities",
                help="Tell what a token may do on some paths.",
                shape=Shape.DOUBLED,
                update=Endpoint(handler=self.of_token, args=TokenCapabilityArgs),
            ),
            path(
                "capabilities-accessor",
                help="Tell what the token with an accessor may do on some paths.",
                shape=Shape.DOUBLED,
                update=Endpoint(handler=self.of_accessor, args=AccessorCapabilityArgs),
            ),
            path(
                "capabilities-self",
                help="Tell what the caller may do on some paths.",
                shape=Shape.DOUBLED,
                update=Endpoint(handler=self.of_caller, args=CapabilityArgs),
            ),
        )

    def of_token(self, context: SystemContext, args: TokenCapabilityArgs) -> Response:
        """Answer for a given token."""
        paths = _require_paths(args)
        if not args.token:
            raise InvalidRequest("1 error occurred:\n\t* no token found\n\n")
        token = self._tokens.find(context.transaction, args.token)
        if token is None:
            raise InvalidRequest("1 error occurred:\n\t* invalid token\n\n")
        return _answer(context, self._compile(context, token), paths)

    def of_accessor(self, context: SystemContext, args: AccessorCapabilityArgs) -> Response:
        """Answer for the token with an accessor."""
        if not args.accessor:
            raise InvalidRequest("missing accessor")
        paths = _require_paths(args)
        token = self._tokens.find_accessor(context.transaction, args.accessor)
        if token is None:
            raise InvalidRequest("1 error occurred:\n\t* invalid accessor\n\n")
        return _answer(context, self._compile(context, token), paths)

    def _compile(self, context: SystemContext, token: Token) -> Acl:
        """Return what a token's policies and its entity's come to, as for a request of that token."""
        try:
            return self._rights.acl(context.transaction, token)
        except PermissionDenied:  # its entity is gone or disabled: the token is good for nothing
            raise InvalidRequest("1 error occurred:\n\t* invalid token\n\n") from None

    def of_caller(self, context: SystemContext, args: CapabilityArgs) -> Response:
        """Answer for the caller."""
        if context.token is None:
            raise PermissionDenied
        return _answer(context, context.acl, _require_paths(args))


def _require_paths(args: CapabilityArgs) -> tuple[str, ...]:
    paths = args.paths or args.path
    if not paths:
        raise InvalidRequest("paths must be supplied")
    if "" in paths:
        raise InvalidRequest("1 error occurred:\n\t* missing path\n\n")
    if len(paths) > PATHS_MAX:
        raise InvalidRequest(f"more than {PATHS_MAX} paths")
    return paths


def _answer(context: SystemContext, acl: Acl, paths: tuple[str, ...]) -> Response:
    data = {place: list(acl.capabilities(place, context.now)) for place in paths}
    if len(paths) == 1:
        data["capabilities"] = data[paths[0]]
    return Response(data=data)
