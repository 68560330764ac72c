"""`Core.handle`: the one door. Every vault operation passes here, in this order, and nowhere else.

The response record is accepted by an audit device while the storage transaction is prepared but not yet committed: a request
whose answer cannot be audited changes nothing.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
from msgspec import structs

from vault.audit.trail import Broker, Trail
from vault.authority import Authority, Principal
from vault.clock import Clock
from vault.errors import (
    AuditFailed,
    InvalidRequest,
    LoginFailed,
    PermissionDenied,
    StorageUnavailable,
    UnsupportedOperation,
    UnsupportedPath,
    VaultError,
)
from vault.lockout import Attempt, Lockout
from vault.logical.args import NoArgs, name_surprises, parse_args
from vault.logical.backend import Backend, Endpoint, Exists, Match, Path
from vault.logical.context import SystemContext
from vault.logical.mount import Mount
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.logical.response import Response
from vault.logical.token import Token
from vault.logins import Logins
from vault.modules.policy.acl import EMPTY_ACL
from vault.modules.system.audit_table import AuditTable
from vault.mounts import Mounts
from vault.quota import Quotas, read_table
from vault.revocation import Revoker
from vault.seal import Seal
from vault.storage import budget
from vault.storage.transaction import Store, Transaction
from vault.storage.view import View
from vault.telemetry.layout import Number
from vault.telemetry.observer import Observer
from vault.waiting import Waiting
from vault.wrapping import Wrapping


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request that found its handler."""

    request: Request
    mount: Mount
    backend: Backend
    match: Match
    endpoint: Endpoint
    path: str  # below the mount


def _refuse(error: VaultError, _context: SystemContext, _args: NoArgs) -> None:
    raise error


_NOWHERE = Match(path=Path(patterns=(), help="", operations={}), captures={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The pipeline and what it needs."""

    seal: Seal
    audit: Broker
    devices: AuditTable
    store: Store
    mounts: Mounts
    authority: Authority
    revoker: Revoker
    wrapping: Wrapping
    logins: Logins
    quotas: Quotas
    lockout: Lockout
    clock: Clock
    system: Backend
    system_mount: Mount
    help: Endpoint
    storage_seconds_max: float = math.inf  # of one request, where that is less than usual
    observer: Observer = field(default_factory=Observer)
    waiting: Waiting = field(default_factory=Waiting)

    def handle(self, request: Request) -> Response | None:
        """Answer a request; raises a VaultError for every refusal. Both are on the audit trail before this returns."""
        reader = self.store.read()
        with self.observer.watch(request) as watch, self.audit.open(request) as trail:
            # One time for all that is asked of the storage; what follows the commit may take longer.
            with budget.limited(self.storage_seconds_max):
                if not request.heard:
                    self.store.cache.catch_up()
                self._follow_devices(reader)
                call = self._route(request, reader)
                watch.mount = call.mount.path
                token = self.authority.identify(request, call.endpoint, reader)
                try:
                    if token is not None:
                        watch.recognise(token)
                    principal = self._authorize(call, token, reader, trail)
                    trail.admit(principal, call.mount, vital=self._is_vital(call, principal))
                    response, effects = self._perform(call, principal, reader, trail)
                finally:
                    if token is not None and token.uses_left == 0:
                        self._clear_away(token)
            for effect in effects:
                effect()
            return response

    def _authorize(self, call: Call, token: Token | None, reader: Transaction, trail: Trail) -> Principal:
        try:
            return self.authority.authorize(call.request, call.endpoint, token, reader, self._find_exists(call, reader))
        except VaultError:  # the record says who was refused what
            trail.recognise(Principal(request=call.request, token=token, acl=EMPTY_ACL), call.mount)
            raise

    def _is_vital(self, call: Call, principal: Principal) -> bool:
        """Return whether a request may use the space that is kept on a full disk: a stranger to an open server may not."""
        return call.endpoint.vital and (principal.token is not None or not self.seal.is_open())

    def _clear_away(self, token: Token) -> None:
        """Remove a token whose last use this was. It is refused already, and falls due by itself: a failure is no news to its holder."""
        with suppress(VaultError):
            self.revoker.revoke_tree(token.key)

    def record(self, request: Request) -> None:
        """Put a request on record that needs no handler; raises AuditFailed."""
        with self.observer.watch(request), self.audit.open(request) as trail:
            self._follow_devices(self.store.read())
            trail.admit(Principal(request=request, token=None, acl=EMPTY_ACL), self.system_mount)
            trail.close(None)

    def refuse(self, request: Request, error: VaultError) -> None:
        """Put a request on record that could not even be decoded; raises AuditFailed in place of `error`."""
        try:
            with self.observer.watch(request), self.audit.open(request):
                self._follow_devices(self.store.read())
                raise error
        except AuditFailed:
            raise
        except VaultError:
            return

    def _follow_devices(self, reader: Transaction) -> None:
        """Make the audit devices those that are enabled now; without storage they stay as they were known last."""
        with suppress(StorageUnavailable):
            if self.seal.is_open():
                self.devices.refresh(reader)
            else:
                self.devices.refresh_sealed(reader)

    def _route(self, request: Request, reader: Transaction) -> Call:
        if request.path.endswith("/") and not request.operation.enumerates and request.operation is not Operation.HELP:
            # Only folders end with a slash: another spelling of a path must not meet another policy decision.
            raise InvalidRequest("a path that ends with '/' can only be listed")
        if request.path.startswith("sys/"):
            match = self.system.find_match(request.path[4:])
            endpoint = match and match.path.find_endpoint(request.operation)
            if match and endpoint and endpoint.sealed:
                return Call(
                    request=request, mount=self.system_mount, backend=self.system, match=match, endpoint=endpoint, path=request.path[4:]
                )
        self.seal.require_open()
        mount = self.mounts.table(reader).router.find(request.path)
        if mount is None or mount.tainted:
            return self._unrouted(request, UnsupportedPath(f'no handler for route "{request.path}". route entry not found.'))
        backend = self.mounts.registry.find(mount)
        path = request.path[len(mount.path) :]
        match = backend.find_match(path)
        if request.operation is Operation.HELP and not path:
            match = _NOWHERE  # the mount itself: its backend tells of all its paths
        if match is None:
            return self._unrouted(request, UnsupportedPath(), mount)
        endpoint = self.help if request.operation is Operation.HELP else match.path.find_endpoint(request.operation)
        if endpoint is None:
            # A path that names one thing has no folder to list; one that takes the rest of the path has.
            nothing_there = request.operation.enumerates and not match.path.is_open
            return self._unrouted(request, UnsupportedPath() if nothing_there else UnsupportedOperation(), mount)
        return Call(request=request, mount=mount, backend=backend, match=match, endpoint=endpoint, path=path)

    def _unrouted(self, request: Request, error: VaultError, mount: Mount | None = None) -> Call:
        """Return a call that ends in `error`, but only for a caller whose token and policies let it come so far."""
        return Call(
            request=request,
            mount=mount or self.system_mount,
            backend=self.system,
            match=_NOWHERE,
            endpoint=Endpoint(handler=partial(_refuse, error), free=True),
            path="",
        )

    def _find_exists(self, call: Call, reader: Transaction) -> Callable[[Principal], bool] | None:
        """Return how to tell create from update, where the path tells them apart."""
        row = call.match.path
        if call.request.operation is not Operation.UPDATE or row.exists is None:
            return None
        args: Any = parse_args(row.exists_args, {}, call.match.captures)
        return partial(self._exists, row.exists, args, call, reader)

    def _exists(self, exists: Exists, args: Any, call: Call, reader: Transaction, principal: Principal) -> bool:
        return exists(self._context(call, principal, reader), args)

    def _context(
        self, call: Call, principal: Principal, transaction: Transaction, prepared: Any = None, kept: dict[str, Any] | None = None
    ) -> SystemContext:
        now_ns = self.clock.now_ns()
        return SystemContext(
            request=principal.request,
            mount=call.mount,
            path=call.path,
            storage=View(transaction, call.mount.storage_prefix),
            token=principal.token,
            now=now_ns / 1e9,
            now_ns=now_ns,
            transaction=transaction,
            acl=principal.acl,
            backend=call.backend,
            match=call.match,
            prepared=prepared,
            kept={} if kept is None else kept,
        )

    def _limit_role(self, call: Call, principal: Principal, args: Any, reader: Transaction) -> None:
        """Count a login for the role that it is for, before any slow work; raises RateLimited."""
        if call.endpoint.role is None:
            return
        table = read_table(reader)
        if call.mount.path in table.rates.mounts_with_roles:
            role = call.endpoint.role(self._context(call, principal, reader), args)
            self.quotas.admit_role(table, call.mount.path, role, call.request.path, call.request.remote_address)

    @contextmanager
    def _waiting(self, call: Call, trail: Trail) -> Iterator[None]:
        """Do slow work inside, which takes nothing of the time of storage and audit."""
        begun = self.clock.monotonic()
        try:
            with self.waiting.enter(stranger=call.endpoint.public), budget.paused():
                yield
        finally:
            trail.postpone(self.clock.monotonic() - begun)

    def _prepare(self, call: Call, principal: Principal, args: Any, reader: Transaction, trail: Trail) -> Any:
        """Return what the endpoint finds by slow work or from outside."""
        if call.endpoint.prepare is None:
            return None
        with self._waiting(call, trail):
            return call.endpoint.prepare(self._context(call, principal, reader), args)

    def _prepare_guess(
        self, call: Call, principal: Principal, args: Any, reader: Transaction, trail: Trail, *, attempt: Attempt | None
    ) -> Any:
        """Do the same for a login that may be a guess; one under a locked name ends here."""
        prepare, decoy = call.endpoint.prepare, call.endpoint.decoy
        if attempt is None:
            return self._prepare(call, principal, args, reader, trail)
        if prepare is None:
            self.lockout.peek(reader, attempt)
            self._refuse_locked(attempt)
            return None
        with self._waiting(call, trail):
            self.lockout.reserve(attempt)
            if decoy is None or not attempt.locked:
                self._refuse_locked(attempt)
                return prepare(self._context(call, principal, reader), args)
            self.observer.add(Number.LOCKED_LOGINS)
            decoy(self._context(call, principal, reader), args)
        raise PermissionDenied

    def _refuse_locked(self, attempt: Attempt) -> None:
        if attempt.locked:
            self.observer.add(Number.LOCKED_LOGINS)
            raise PermissionDenied

    def _perform(
        self, call: Call, principal: Principal, reader: Transaction, trail: Trail
    ) -> tuple[Response | None, list[Callable[[], None]]]:
        """Return the answer, which is on record and committed, and what is still to be done."""
        args: Any = parse_args(call.endpoint.args, principal.request.data, call.match.captures)
        if call.endpoint.guess is None:
            self._limit_role(call, principal, args, reader)
            return self._work(call, principal, args, self._prepare(call, principal, args, reader, trail), trail=trail)
        # Past the cache where that is cheap beside the check: the first guess at a name takes as long as any other.
        reader = self.store.read(fresh=call.endpoint.prepare is not None)
        self._limit_role(call, principal, args, reader)
        name = call.endpoint.guess(self._context(call, principal, reader), args)
        with self.lockout.counted(call.mount, name) as attempt:
            try:
                prepared = self._prepare_guess(call, principal, args, reader, trail, attempt=attempt)
                return self._work(call, principal, args, prepared, attempt=attempt, trail=trail)
            except LoginFailed:
                reader.level()
                raise

    def _work(
        self, call: Call, principal: Principal, args: Any, prepared: Any, *, attempt: Attempt | None = None, trail: Trail
    ) -> tuple[Response | None, list[Callable[[], None]]]:
        """Run the handler in a transaction."""
        contexts: list[SystemContext] = []
        kept: dict[str, Any] = {}

        def work(transaction: Transaction) -> Response | None:
            context = self._context(call, principal, transaction, prepared, kept)
            contexts[:] = (context,)
            if call.backend.binds_token and principal.token is not None:
                self.authority.bind(transaction, principal.token)
            response = self._settle(call, principal, call.endpoint.handler(context, args), context)
            if attempt is not None:
                self.lockout.succeed(transaction, attempt)
            return response

        try:
            response = self.store.run(work, before_commit=trail.close)
        except BaseException as error:
            if not trail.closed:  # else the record says that it was done, and is amended as the trail is left
                for undo in contexts[0].if_refused if contexts else ():
                    undo()
            if isinstance(error, LoginFailed) and call.endpoint.guess is not None:
                contexts[0].transaction.level()
            raise
        return response, contexts[0].after_commit

    def _settle(self, call: Call, principal: Principal, response: Response | None, context: SystemContext) -> Response | None:
        if response is None:
            return None
        if response.login is not None:
            response = self.logins.complete(context, response.login, response)
        warnings = () if call.endpoint.free else name_surprises(call.endpoint.args, call.request.data, call.match.captures)
        if warnings:
            response = structs.replace(response, warnings=(*response.warnings, *warnings))
        if response.shape is not call.match.path.shape:
            response = structs.replace(response, shape=call.match.path.shape)
        unfinished = response.auth is not None and response.auth.mfa_requirement is not None
        if not call.request.wrap_ttl_seconds or response.wrap_info is not None or unfinished:
            return response
        # Who has no token leaves none behind: only a login is wrapped for a stranger.
        known = principal.token is not None or response.auth is not None
        return self.wrapping.wrap(context.transaction, response, call.request) if known else response
