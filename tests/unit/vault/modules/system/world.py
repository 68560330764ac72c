"""A whole server over rows in memory: the real pipeline around the handlers under test. Only the database and the clock are ours."""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import structs

from tests.unit.vault.modules.system.fakes import FakeClock, Lines, SystemRows
from tests.unit.vault.modules.system.worker import Worker
from vault.audit.device import Device, DeviceConfig
from vault.clock import format_rfc3339_nano
from vault.host import WINDOW_LOCK, HostPage
from vault.logical.backend import Backend
from vault.logical.mount import Lifetimes
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.logical.response import Response
from vault.logical.token import Token
from vault.modules.auth.tokens import Issued
from vault.modules.system.version import record_release
from vault.mounts import default_mounts
from vault.secret import Secret
from vault.settings import StaticSeal
from vault.storage.physical import Physical
from vault.storage.transaction import Transaction
from vault.telemetry.observer import Shared
from vault.windows import Windows

ROOT = "root-token"


class World:
    """A host with workers. Requests go to the first one unless told otherwise."""

    static: StaticSeal | None = None
    raw = False
    # What the configuration says; a worker that is made later follows.
    origins: tuple[str, ...] = ()
    prometheus = True
    lifetimes = Lifetimes()
    audit_addresses: tuple[str, ...] = ()
    # Auth methods and engines beside the usual ones, by family and kind.
    backends: Mapping[tuple[str, str], Mapping[str, Backend]] = MappingProxyType({})

    def __init__(self, audit_dir: Path | None = None, declared: tuple[DeviceConfig, ...] = (), addresses: tuple[str, ...] = ()) -> None:
        self.rows = SystemRows()
        self.page = HostPage()
        self.physical = self.make_physical()
        self.clock = FakeClock()
        self.audit_dir = str(audit_dir) if audit_dir else ""
        self.audit_addresses = addresses
        self.declared = declared
        self.place = Lines()
        self.first = Worker(self)
        self._requests = 0
        self.background: Worker | None = None
        made = self.first.store.run(lambda transaction: self.first.seal.initialize(transaction, 1, 1, partial(self.populate, self.first)))
        self.share = made.shares[0]
        self.unseal()

    @cached_property
    def shared(self) -> Shared:
        """Return the memory of the host's metrics."""
        return Shared(8, self.page)

    @cached_property
    def windows(self) -> Windows:
        """Return the memory of the host's rate limits."""
        return Windows(lambda group: self.page.lock(WINDOW_LOCK + group))

    def make_physical(self) -> Physical:
        """Return where the rows lie."""
        return self.rows

    def unseal(self) -> None:
        """Open the host."""
        opening = self.first.seal.unseal(self.first.store.read(), self.share)
        assert opening is not None
        self.first.seal.open(opening)
        self.first.seal.require_open()

    def now_text(self) -> str:
        """Return the present time as records show it."""
        return format_rfc3339_nano(self.clock.now_ns())

    def populate(self, worker: Worker, transaction: Transaction) -> Issued:
        """Write what a fresh server has; return its root token."""
        for mount in default_mounts(worker.mounts):
            worker.mounts.add(transaction, mount)
        worker.policies.install_defaults(transaction)
        record_release(transaction, self.clock.now())
        return self.issue_root(worker)(transaction, ROOT)

    def issue_root(self, worker: Worker) -> Callable[[Transaction, str], Issued]:
        """Return how a worker makes a root token."""

        def issue(transaction: Transaction, token_id: str) -> Issued:
            seconds = self.clock.ns // 10**9
            token = Token(
                key="", policies=("root",), path="auth/token/root", display_name="root", creation_time=seconds, issued_ns=self.clock.ns
            )
            return worker.tokens.create(transaction, token, token_id=token_id)

        return issue

    def worker(self) -> Worker:
        """Start another worker of this host."""
        return Worker(self)

    def issue(self, *policies: str, ttl: int = 3600, **fields: Any) -> str:
        """Make a token with these policies; return its id."""
        seconds = self.clock.ns // 10**9
        token = Token(
            key="", policies=policies, path="auth/token/create", creation_time=seconds, issued_ns=self.clock.ns, renewable=True,
            ttl_seconds=ttl, creation_ttl_seconds=ttl, expires_at=self.clock.now() + ttl,
        )  # fmt: skip
        issued: Issued = self.first.store.run(lambda transaction: self.first.tokens.create(transaction, structs.replace(token, **fields)))
        return issued.id.reveal()

    def holder(self, text: str) -> str:
        """Store a policy and make a token with it alone."""
        self._requests += 1
        name = f"policy-{self._requests}"
        self.write(f"sys/policies/acl/{name}", policy=text)
        return self.issue(name)

    def send(
        self,
        operation: Operation,
        path: str,
        fields: Mapping[str, Any],
        *,
        token: str | None = ROOT,
        worker: Worker | None = None,
        wrap: int | None = None,
        address: str = "",
        certificates: tuple[bytes, ...] = (),
        **more: Any,
    ) -> Response | None:
        """Send a request, with the fields that a request of its kind has."""
        self._requests += 1
        target = worker or self.first
        request = Request(
            id=f"request-{self._requests}",
            operation=operation,
            path=path,
            data=fields,
            token=None if token is None else Secret(token),
            wrap_ttl_seconds=wrap,
            remote_address=address,
            show_certificates=lambda: certificates,
            **more,
        )
        return target.core.handle(request)

    def answer(self, operation: Operation, path: str, fields: Mapping[str, Any], *, token: str | None = ROOT) -> Response:
        """Send a request and return its answer, which must be there."""
        response = self.send(operation, path, fields, token=token)
        assert response is not None
        return response

    def accessor(self, token: str) -> str:
        """Return the accessor of a token."""
        tokens = self.first.tokens
        found = self.first.store.run(lambda transaction: tokens.find_row(transaction, tokens.hash_id(token)))
        assert found is not None
        return found.accessor

    def read(self, path: str, *, token: str | None = ROOT, worker: Worker | None = None, **fields: Any) -> Any:
        """Read, and return the data."""
        response = self.send(Operation.READ, path, fields, token=token, worker=worker)
        assert response is not None
        return response.data

    def write(self, path: str, /, *, token: str | None = ROOT, worker: Worker | None = None, **fields: Any) -> Any:
        """Write, and return the answer."""
        return self.send(Operation.UPDATE, path, fields, token=token, worker=worker)

    def patch(self, path: str, **fields: Any) -> Any:
        """Patch, and return the answer."""
        return self.send(Operation.PATCH, path, fields)

    def delete(self, path: str, *, token: str | None = ROOT) -> Any:
        """Delete, and return the answer."""
        return self.send(Operation.DELETE, path, {}, token=token)

    def list(self, path: str, *, token: str | None = ROOT, **fields: Any) -> tuple[str, ...]:
        """List; nothing there is an empty listing."""
        response = self.send(Operation.LIST, path if path.endswith("/") else path + "/", fields, token=token)
        return () if response is None or response.data is None else tuple(response.data["keys"])

    def work(self) -> None:
        """Let another worker do the background work that is due."""
        if self.background is None:
            self.background = self.worker()
        assert self.background.seal.is_open()
        assert self.background.leadership.acquire()
        self.background.expiry.work()

    def send_read(self, path: str, worker: Worker) -> Response | None:
        """Read with the root token; None where nothing is there."""
        return self.send(Operation.READ, path, {}, worker=worker)

    def secret(self, token: str) -> Secret:
        """Return a token id as the service holds it."""
        return Secret(token)

    def devices(self) -> tuple[Device, ...]:
        """Return the devices that the first worker writes to."""
        return self.first.broker.devices
