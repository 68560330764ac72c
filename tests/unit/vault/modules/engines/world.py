"""An engine with real transactions over rows in memory. What the core does with a request around the handler is done here alike."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from msgspec import structs

from tests.unit.vault.modules.engines.rows import Rows
from vault.clock import SystemClock
from vault.errors import UnsupportedOperation, UnsupportedPath
from vault.host import HostPage
from vault.logical.args import parse_args
from vault.logical.backend import Backend
from vault.logical.context import Context
from vault.logical.mount import Mount
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.logical.response import Response
from vault.logical.token import Token, TokenKind
from vault.storage.barrier import Barrier
from vault.storage.cache import Cache
from vault.storage.keyring import Keyring
from vault.storage.transaction import Store, Transaction
from vault.storage.view import View

T = TypeVar("T")

SECOND_NS = 10**9
HOUR_NS = 3600 * SECOND_NS
START_NS = 1_700_000_000 * SECOND_NS
MOUNT = Mount(path="kv/", kind="kv", uuid="mount", accessor="kv_1")
_PAGE = HostPage()
_BARRIER = Barrier()
_BARRIER.open(Keyring.create())


def make_token(name: str, **changes: Any) -> Token:
    """Return a service token with a cubbyhole of its own."""
    token = Token(key=name, cubbyhole=f"cubby-{name}", kind=TokenKind.SERVICE, policies=("default",), path="", creation_time=0)
    return structs.replace(token, **changes)


class World:
    """One worker process that serves one mount. `worker` makes another over the same rows."""

    def __init__(self, backend: Backend, rows: Rows | None = None) -> None:
        self.backend = backend
        self.rows = rows or Rows()
        cache = Cache(_PAGE.generations, SystemClock())
        cache.fresh_until = math.inf  # there are no other hosts to hear of
        self.store = Store(self.rows, _BARRIER, cache, _PAGE.generations.bump)
        self.mount = MOUNT
        self.token: Token | None = make_token("one")
        self.now_ns = START_NS

    def worker(self, backend: Backend | None = None) -> "World":
        """Return another worker of the same host."""
        return World(backend or self.backend, self.rows)

    def view(self, work: Callable[[View], T]) -> T:
        """Run work on the storage of the mount, in a transaction of its own."""
        return self.store.run(lambda transaction: work(self._view(transaction)))

    def _view(self, transaction: Transaction) -> View:
        return View(transaction, self.mount.storage_prefix)

    def context(self, operation: Operation, path: str, data: Mapping[str, Any], transaction: Transaction) -> Context:
        """Return what a handler gets."""
        return Context(
            request=Request(id="1", operation=operation, path=self.mount.path + path, data=data),
            mount=self.mount,
            path=path,
            storage=self._view(transaction),
            token=self.token,
            now=self.now_ns / 1e9,
            now_ns=self.now_ns,
        )

    def call(self, operation: Operation, path: str, data: Mapping[str, Any] | None = None) -> Response | None:
        """Answer a request."""
        match = self.backend.find_match(path)
        if match is None:
            raise UnsupportedPath
        endpoint = match.path.find_endpoint(operation)
        if endpoint is None:
            raise UnsupportedOperation
        fields = data or {}
        args: Any = parse_args(endpoint.args, fields, match.captures)
        return self.store.run(lambda transaction: endpoint.handler(self.context(operation, path, fields, transaction), args))

    def exists(self, path: str) -> bool:
        """Return whether a write to the path is an update."""
        match = self.backend.find_match(path)
        assert match is not None
        assert match.path.exists is not None
        args: Any = parse_args(match.path.exists_args, {}, match.captures)
        return match.path.exists(self.context(Operation.UPDATE, path, {}, self.store.read()), args)

    def read(self, path: str, **fields: Any) -> Response | None:
        """Read."""
        return self.call(Operation.READ, path, fields)

    def data(self, path: str, **fields: Any) -> Any:
        """Read and return the data of the answer, which must be there."""
        response = self.read(path, **fields)
        assert response is not None
        return response.data

    def write(self, path: str, data: Mapping[str, Any] | None = None) -> Response | None:
        """Write."""
        return self.call(Operation.UPDATE, path, data)

    def patch(self, path: str, data: Mapping[str, Any]) -> Response | None:
        """Patch."""
        return self.call(Operation.PATCH, path, data)

    def delete(self, path: str) -> Response | None:
        """Delete."""
        return self.call(Operation.DELETE, path)

    def list(self, path: str, **fields: Any) -> tuple[str, ...]:
        """List; nothing there is an empty listing."""
        response = self.call(Operation.LIST, path, fields)
        return () if response is None or response.data is None else tuple(response.data["keys"])
