"""A worker of the world, put together as `bootstrap` does it, over rows in memory."""

from functools import partial
from typing import TYPE_CHECKING

from tests.unit.vault.modules.system.fakes import FakeClock
from vault import path_help
from vault.audit.checkpointer import Checkpointer
from vault.audit.device import Host, make_device
from vault.audit.trail import Broker
from vault.authority import Authority
from vault.core import Core
from vault.cors import Cors
from vault.expiry import ExpiryWorker, Fenced, Leadership
from vault.gate import Gate
from vault.handover import Tidier
from vault.host import AUDIT_LOCK
from vault.lease_quota import Recounter
from vault.leases import LeaseStore
from vault.lockout import Lockout
from vault.log_levels import LogLevels
from vault.logical.backend import Backend
from vault.logical.mount import Mount
from vault.logins import Logins
from vault.modules.auth.methods.token import backend as token_backend
from vault.modules.auth.renewal import Renewer
from vault.modules.auth.tokens import TokenStore
from vault.modules.engines.cubbyhole.backend import cubbyhole
from vault.modules.engines.kv import upgrade
from vault.modules.engines.kv.backend import VERSIONS
from vault.modules.identity import paths as identity
from vault.modules.identity.mfa.paths import mfa_paths
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
from vault.modules.system.version import version_paths
from vault.modules.system.wrapping import WrappingPaths
from vault.mounts import KV_KINDS, Mounts, Registry
from vault.quota import Quotas
from vault.revocation import Revoker
from vault.root_generation import RootGeneration
from vault.rotation import Rotation
from vault.seal import Seal
from vault.settings import Checkpoints
from vault.storage.barrier import Barrier
from vault.storage.cache import Cache
from vault.storage.transaction import Store
from vault.telemetry.collector import Facts, Metrics
from vault.telemetry.observer import Observer
from vault.wrapping import Wrapping

if TYPE_CHECKING:
    from tests.unit.vault.modules.system.world import World


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
        self.identity = IdentityStore(self.mounts, clock)
        self.authority = Authority(self.store, self.tokens, self.policies, self.identity, clock)
        self.seal.on_close += (self.policies.forget_compiled, self.identity.forget_known)
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
                ("secret", "identity"): {"": identity.build(self.mounts, *mfa_paths(self.identity, self.mounts))},
                ("secret", "cubbyhole"): {"": cubbyhole()},
                **{("secret", kind): VERSIONS for kind in KV_KINDS},
                ("auth", "token"): {"": token_backend.build(self.tokens, self.policies, renewer, self.revoker, self.identity)},
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
            authority=self.authority,
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
            *CapabilityPaths(self.tokens, self.authority).paths(),
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
