"""A whole server over rows in memory: the real pipeline around the handlers under test. Only the database and the clock are ours."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.unit.vault.modules.system.fakes import FakeClock, Lines, SystemRows
from vault import path_help
from vault.audit.checkpointer import Checkpointer
from vault.audit.device import Device, DeviceConfig, Host, make_device
from vault.audit.trail import Broker
from vault.authority import Authority
from vault.clock import format_rfc3339_nano
from vault.core import Core
from vault.cors import Cors
from vault.expiry import ExpiryWorker, Fenced, Leadership
from vault.gate import Gate
from vault.handover import Tidier
from vault.host import AUDIT_LOCK, WINDOW_LOCK, HostPage
from vault.lease_quota import Recounter
from vault.leases import LeaseStore
from vault.lockout import Lockout
from vault.log_levels import LogLevels
from vault.logical.backend import Backend
from vault.logical.mount import Lifetimes, Mount
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.logical.response import Response
from vault.logical.token import Token
from vault.logins import Logins
from vault.modules.auth.methods.token import backend as token_backend
from vault.modules.auth.renewal import Renewer
from vault.modules.auth.tokens import Issued, TokenStore
from vault.modules.engines.cubbyhole.backend import cubbyhole
from vault.modules.engines.kv import upgrade
from vault.modules.engines.kv.backend import VERSIONS
from vault.modules.identity.backend import identity_backend
from vault.modules.identity.store import IdentityStore
from vault.modules.policy.store import PolicyStore
from vault.modules.system.audit import AuditPaths
from vault.modules.system.audit_headers import AuditHeaderPaths
from vault.modules.system.audit_table import AuditTable
from vault.modules.system.capabilities import CapabilityPaths
from vault.modules.system.cors import CorsPaths
from vault.modules.system.evidence import evidence_paths
from vault.modules.system.generate_root import GenerateRootPaths, decode_paths
from vault.modules.system.host import host_paths
from vault.modules.system.leases import LeasePaths
from vault.modules.system.metrics import MetricsPaths
from vault.modules.system.mfa import validate_paths
from vault.modules.system.mounts import MountPaths
from vault.modules.system.policies import PolicyPaths
from vault.modules.system.quotas import QuotaPaths
from vault.modules.system.raw import raw_paths
from vault.modules.system.rekey import rekey_paths
from vault.modules.system.remount import RemountPaths
from vault.modules.system.rotate import RotatePaths
from vault.modules.system.seal import SealPaths
from vault.modules.system.spec import SpecPaths
from vault.modules.system.tools import tool_paths
from vault.modules.system.tune import TunePaths
from vault.modules.system.ui import UiPaths
from vault.modules.system.ui_headers import ui_header_paths
from vault.modules.system.version import record_release, version_paths
from vault.modules.system.wrapping import WrappingPaths
from vault.mounts import KV_KINDS, Mounts, Registry, default_mounts
from vault.quota import Quotas
from vault.revocation import Revoker
from vault.root_generation import RootGeneration
from vault.rotation import Rotation
from vault.seal import Seal
from vault.secret import Secret
from vault.settings import Checkpoints, StaticSeal
from vault.storage.barrier import Barrier
from vault.storage.cache import Cache
from vault.storage.physical import Physical
from vault.storage.transaction import Store, Transaction
from vault.telemetry.collector import Facts, Metrics
from vault.telemetry.observer import Observer, Shared
from vault.windows import Windows
from vault.wrapping import Wrapping

ROOT = "root-token"


class Worker:
    """One worker process of a host."""

    def __init__(self, world: "World") -> None:
        page, clock = world.page, world.clock
        cache = Cache(page.generations, clock)
        cache.fresh_until = float("inf")
        self.store = Store(world.physical, Barrier(), cache, page.generations.bump)
        self.seal = Seal(page, self.store, clock, world.static)
        self.rotation = Rotation(self.seal, self.store, clock)
        self.mounts = Mounts(Registry({}), world.lifetimes)
        self.leases = LeaseStore()
        self.tokens = TokenStore(self.seal, self.leases, clock)
        self.policies = PolicyStore(clock)
        self.identity = IdentityStore(self.mounts)
        self.seal.on_close.append(self.policies.forget_compiled)
        self.wrapping = wrapping = Wrapping(self.tokens, self.mounts, clock)
        self.revoker = Revoker(
            self.store, tokens=self.tokens, leases=self.leases, mounts=self.mounts, clock=clock, cubbyhole_prefix=wrapping.cubbyhole_prefix
        )
        self.logins = Logins(self.tokens, self.identity, self.mounts, wrapping, self.store)
        self._make_gate(world)
        self.broker = Broker(world.now_text, self.observer)
        host = Host(page.audit_area, lambda slot: page.place_lock(AUDIT_LOCK + slot), world.now_text)
        declared = tuple(make_device(config, bytes(32), host) for config in world.declared)
        self.audit = AuditTable(self.broker, host, self.store, world.audit_dir, declared, addresses=world.audit_addresses)
        self.checkpointer = self._checkpointer(world)
        self.remounts = RemountPaths(self.mounts, self.revoker, self.store)
        self.tunes = TunePaths(self.mounts, self.store, clock, upgrade)
        self.expiry = self._expiry(wrapping, clock)
        system = self._system(world, wrapping)
        renewer = Renewer(self.tokens, self.mounts, self.identity)
        self.mounts.registry = Registry(
            {
                ("secret", "system"): {"": system},
                ("secret", "identity"): {"": identity_backend(self.identity, self.mounts)},
                ("secret", "cubbyhole"): {"": cubbyhole()},
                **{("secret", kind): VERSIONS for kind in KV_KINDS},
                ("auth", "token"): {"": token_backend.build(self.tokens, self.policies, renewer, self.revoker)},
                **world.backends,
            }
        )
        self.core = self._core(wrapping, system, clock)

    def _core(self, wrapping: Wrapping, system: Backend, clock: FakeClock) -> Core:
        return Core(
            seal=self.seal,
            audit=self.broker,
            devices=self.audit,
            store=self.store,
            mounts=self.mounts,
            authority=Authority(self.store, self.tokens, self.policies, self.identity, clock),
            revoker=self.revoker,
            wrapping=wrapping,
            logins=self.logins,
            quotas=self.quotas,
            lockout=Lockout(self.store, self.seal, clock),
            clock=clock,
            system=system,
            system_mount=Mount(path="sys/", kind="system", uuid="system", accessor="system_sealed"),
            help=path_help.ENDPOINT,
            observer=self.observer,
        )

    def _make_gate(self, world: "World") -> None:
        self.observer = Observer(world.shared, world.clock)
        self.observer.start()
        self.quotas, self.cors = Quotas(world.windows, world.clock), Cors(world.origins)
        self.gate = Gate(self.store, self.quotas, self.cors, LogLevels(world.page), self.seal.is_open)

    def _checkpointer(self, world: "World") -> Checkpointer:
        made = Checkpointer(
            page=world.page,
            store=self.store,
            place=world.place,
            devices=self.audit.list_current,
            is_open=self.seal.is_open,
            clock=world.clock,
            settings=Checkpoints(),
        )
        self.seal.before_seal.append(lambda: made.cover_all("seal"))
        return made

    def _expiry(self, wrapping: Wrapping, clock: FakeClock) -> ExpiryWorker:
        self.leadership = Leadership(self.store, clock)
        fenced = Fenced(self.store, self.leadership)
        revoker = Revoker(
            fenced, tokens=self.tokens, leases=self.leases, mounts=self.mounts, clock=clock, cubbyhole_prefix=wrapping.cubbyhole_prefix
        )
        return ExpiryWorker(
            self.store, self.mounts, leadership=self.leadership, revoker=revoker, clock=clock, is_open=self.seal.is_open,
            chores=(
                RemountPaths(self.mounts, revoker, fenced).finish_all,
                TunePaths(self.mounts, fenced, clock, upgrade).finish_all,
                partial(self.rotation.rotate_if_due, fenced),
                Tidier(self.store, fenced, clock).tidy,
                Recounter(fenced, self.tokens, self.leases).recount,
                partial(self.logins.tidy, fenced.run, clock.now),
            ),
            duties=(self.seal.open_alone, self.seal.follow_keyring, self.seal.root_key.follow, self.rotation.note_uses_if_due),
        )  # fmt: skip

    def _system(self, world: "World", wrapping: Wrapping) -> Backend:
        generations = RootGeneration(self.seal, world.issue_root(self))
        rows = (
            *SealPaths(self.seal, partial(world.populate, self), "inmem").paths(),
            *RotatePaths(self.seal, self.rotation).paths(),
            *raw_paths(enabled=world.raw),
            *rekey_paths(self.seal, self.store, world.clock),
            *(row for bare in (True, False) for row in GenerateRootPaths(generations, self.seal, self.store, bare=bare).paths()),
            *decode_paths(),
            *WrappingPaths(wrapping, self.tokens).paths(),
            *PolicyPaths(self.policies).paths(),
            *self.tunes.paths(),
            *MountPaths(self.mounts, self.revoker).paths(),
            *self.remounts.paths(),
            *CapabilityPaths(self.tokens, self.policies).paths(),
            *LeasePaths(self.leases, self.tokens, self.mounts, self.revoker, self.store).paths(),
            *UiPaths(self.mounts).paths(),
            *validate_paths(self.logins),
            *SpecPaths(self.mounts).paths(),
            *AuditHeaderPaths(self.audit).paths(),
            *AuditPaths(self.audit, world.audit_dir, self.checkpointer.close).paths(),
            *evidence_paths(),
            *tool_paths(),
            *host_paths(),
            *version_paths(),
            *ui_header_paths(),
            *CorsPaths(self.cors).paths(),
            *QuotaPaths(self.mounts, Recounter(self.store, self.tokens, self.leases).begin).paths(),
            *MetricsPaths(
                Metrics(self.observer, self._facts), self.observer, world.clock, lambda: None, prometheus=world.prometheus
            ).paths(),
        )
        return Backend(kind="system", paths=rows, help="The system backend controls the server.", system=True)

    def _facts(self) -> Facts:
        devices = tuple((device.config.slot, device.config.path) for device in self.broker.devices)
        return Facts(unsealed=self.seal.is_open(), mounts=None, tokens=None, leases=None, devices=devices)


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
        issued: Issued = self.first.store.run(lambda transaction: self.first.tokens.create(transaction, replace(token, **fields)))
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

    def devices(self) -> tuple[Device, ...]:
        """Return the devices that the first worker writes to."""
        return self.first.broker.devices
