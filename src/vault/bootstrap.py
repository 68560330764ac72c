"""Puts the service together: the only place where the parts meet. What exists is written here as literal tables."""

from base64 import b64decode, b64encode
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog

from vault import log, path_help
from vault.audit.checkpointer import Checkpointer
from vault.audit.device import Host
from vault.audit.places import make_folder, make_place
from vault.audit.retention import Retention
from vault.audit.trail import Broker
from vault.auth_methods import list_methods
from vault.authority import Authority
from vault.clock import Clock, SystemClock, format_rfc3339_nano
from vault.config_file import WrongSetting
from vault.core import Core
from vault.declaration import declared_devices, find_dsn, migrate
from vault.errors import InvalidRequest, VaultError
from vault.expiry import ExpiryWorker, Fenced, Leadership
from vault.gate import Gate
from vault.handover import Tidier
from vault.host import AUDIT_LOCK, HostPage
from vault.lease_quota import Recounter
from vault.leases import LeaseStore
from vault.lockout import Lockout
from vault.logical.backend import Backend, Path
from vault.logical.mount import Lifetimes, Mount
from vault.logical.token import Token
from vault.logins import Logins
from vault.modules.auth.methods.approle.upkeep import Upkeep as SecretIdUpkeep
from vault.modules.auth.methods.token import backend as token_backend
from vault.modules.auth.renewal import Renewer
from vault.modules.auth.tokens import Issued, TokenStore
from vault.modules.engines.cubbyhole.backend import cubbyhole
from vault.modules.engines.kv import upgrade as kv_upgrade
from vault.modules.engines.kv.backend import VERSIONS as KV_VERSIONS
from vault.modules.identity import paths as identity
from vault.modules.identity.mfa.paths import mfa_paths
from vault.modules.identity.oidc.paths import oidc_paths
from vault.modules.identity.oidc.upkeep import Upkeep
from vault.modules.identity.people import People
from vault.modules.identity.store import IdentityStore
from vault.modules.policy.store import PolicyStore
from vault.modules.system.audit import AuditPaths
from vault.modules.system.audit_headers import AuditHeaderPaths
from vault.modules.system.audit_table import AuditTable
from vault.modules.system.capabilities import CapabilityPaths
from vault.modules.system.evidence import evidence_paths
from vault.modules.system.generate_root import GenerateRootPaths, decode_paths
from vault.modules.system.host import host_paths
from vault.modules.system.leases import LeasePaths
from vault.modules.system.locked_users import locked_user_paths
from vault.modules.system.mfa import validate_paths
from vault.modules.system.mounts import MountPaths
from vault.modules.system.policies import PolicyPaths
from vault.modules.system.raw import raw_paths
from vault.modules.system.rekey import rekey_paths
from vault.modules.system.remount import RemountPaths
from vault.modules.system.rotate import RotatePaths
from vault.modules.system.seal import SealPaths
from vault.modules.system.spec import SpecPaths
from vault.modules.system.tools import tool_paths
from vault.modules.system.tune import TunePaths
from vault.modules.system.ui import UiPaths
from vault.modules.system.version import record_release, version_paths
from vault.modules.system.wrapping import WrappingPaths
from vault.mounts import KV_KINDS, Mounts, Registry, default_mounts
from vault.operations import Operations, Sources
from vault.revocation import Revoker, Runner
from vault.root_generation import RootGeneration
from vault.rotation import Rotation
from vault.seal import Seal
from vault.secret import Secret
from vault.settings import Settings
from vault.storage import capacity
from vault.storage.audit_rows import AuditRows, PartitionChore, make_partitions, owns_records
from vault.storage.barrier import Barrier
from vault.storage.cache import Cache
from vault.storage.coherence import Listener, retire
from vault.storage.evidence import CheckpointTable, Partitions
from vault.storage.postgres import Postgres
from vault.storage.transaction import Store, Transaction
from vault.waiting import Waiting
from vault.wrapping import Wrapping

# Answers while sealed, when the mount table cannot be read.
SYSTEM_MOUNT = Mount(path="sys/", kind="system", uuid="system", accessor="system_sealed")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DevServer:
    """What a development server tells at its start."""

    root_token: Secret
    unseal_key: str


class Service:
    """The service of one host: built before the fork, started in each worker after it."""

    def __init__(self, settings: Settings, page: HostPage, clock: Clock | None = None) -> None:
        self._settings = settings
        self._page = page
        self._clock = clock or SystemClock()
        self._dsn = find_dsn(settings)
        self._physical = Postgres(self._dsn, settings.threads + capacity.SPARE, page.host_id)
        cache = Cache(page.generations, self._clock)
        self._listener = Listener(self._dsn, page.host_id, page.generations, cache, self._clock)
        self._store = Store(self._physical, Barrier(), cache, page.generations.bump)
        self._seal = Seal(page, self._store, self._clock, None if settings.dev else settings.seal)
        self._rotation = Rotation(self._seal, self._store, self._clock)
        lifetimes = Lifetimes(default_seconds=settings.default_lease_seconds, max_seconds=settings.max_lease_seconds)
        self._mounts = Mounts(Registry({}), lifetimes)
        leases = LeaseStore()
        self._tokens = TokenStore(self._seal, leases, self._clock)
        self._policies = PolicyStore(self._clock)
        self._identity = IdentityStore(self._mounts, self._clock)
        self._authority = Authority(self._store, self._tokens, self._policies, self._identity, self._clock)
        self._lockout = Lockout(self._store, self._seal, self._clock, settings.user_lockouts)
        self.waiting = Waiting()
        wrapping = Wrapping(self._tokens, self._mounts, self._clock)
        self._logins = Logins(self._tokens, self._identity, self._mounts, wrapping, self._store)
        revoker = self._make_revoker(self._store, leases, wrapping)
        self._seal.on_close += (self._policies.forget_compiled, self._identity.forget_known)
        host = Host(
            page.audit_area, lambda slot: page.place_lock(AUDIT_LOCK + slot), self._now_text, lambda sync: AuditRows(self._dsn, sync=sync)
        )
        declared = declared_devices(settings, host)
        self.operations = Operations(settings, page, self._clock)
        broker = Broker(self._now_text, self.operations.observer)
        self._sources = Sources(
            self._seal.is_open, self._store, self._mounts, broker, self._physical, Recounter(self._store, self._tokens, leases).begin
        )
        devices = AuditTable(broker, host, self._store, settings.audit_dir, declared, addresses=settings.audit_addresses)
        self._checkpointer = self._make_checkpointer(devices)
        self._seal.before_seal.append(lambda: self._checkpointer.cover_all("seal"))
        tune = TunePaths(self._mounts, self._store, self._clock, kv_upgrade)
        remount = RemountPaths(self._mounts, revoker, self._store)
        self._expiry = self._make_expiry(leases, wrapping)
        system = self._make_system(settings, leases=leases, wrapping=wrapping, revoker=revoker, devices=devices, tune=tune, remount=remount)
        self._mounts.registry = self._make_registry(system, revoker)
        self.core = self._make_core(broker, devices, revoker, wrapping, system)

    def _make_core(self, broker: Broker, devices: AuditTable, revoker: Revoker, wrapping: Wrapping, system: Backend) -> Core:
        return Core(
            seal=self._seal,
            audit=broker,
            devices=devices,
            store=self._store,
            mounts=self._mounts,
            authority=self._authority,
            revoker=revoker,
            wrapping=wrapping,
            logins=self._logins,
            quotas=self.operations.quotas,
            lockout=self._lockout,
            waiting=self.waiting,
            clock=self._clock,
            system=system,
            system_mount=SYSTEM_MOUNT,
            help=path_help.ENDPOINT,
            storage_seconds_max=self._settings.request_seconds_max,
            observer=self.operations.observer,
        )

    def _make_registry(self, system: Backend, revoker: Revoker) -> Registry:
        renewer = Renewer(self._tokens, self._mounts, self._identity)
        oidc = oidc_paths(People(self._identity), self._tokens, self._settings)
        return Registry(
            {
                ("secret", "system"): {"": system},
                ("secret", "identity"): {"": identity.build(self._mounts, *oidc, *mfa_paths(self._identity, self._mounts))},
                ("secret", "cubbyhole"): {"": cubbyhole()},
                **{("secret", kind): KV_VERSIONS for kind in KV_KINDS},
                ("auth", "token"): {"": token_backend.build(self._tokens, self._policies, renewer, revoker, self._identity)},
                **list_methods(self.operations.observer, self._store, self._seal, self._clock, self._page.hash_turn),
            }
        )

    def _make_checkpointer(self, devices: AuditTable) -> Checkpointer:
        return Checkpointer(
            page=self._page,
            store=self._store,
            place=make_place(self._settings, CheckpointTable(self._dsn)),
            devices=devices.list_current,
            is_open=self._seal.is_open,
            clock=self._clock,
            settings=self._settings.checkpoints,
        )

    def _make_expiry(self, leases: LeaseStore, wrapping: Wrapping) -> ExpiryWorker:
        """Return the background work. All that it writes goes through a fence: a paused leader writes nothing."""
        leadership = Leadership(self._store, self._clock)
        fenced = Fenced(self._store, leadership)
        revoker = self._make_revoker(fenced, leases, wrapping)
        tables = Partitions(self._dsn), CheckpointTable(self._dsn)
        return ExpiryWorker(
            self._store,
            self._mounts,
            leadership=leadership,
            revoker=revoker,
            clock=self._clock,
            is_open=self._seal.is_open,
            chores=(
                RemountPaths(self._mounts, revoker, fenced).finish_all,
                TunePaths(self._mounts, fenced, self._clock, kv_upgrade).finish_all,
                partial(self._rotation.rotate_if_due, fenced),
                partial(self._lockout.tidy, fenced),
                Tidier(self._store, fenced, self._clock).tidy,
                Recounter(fenced, self._tokens, leases).recount,
                partial(self._logins.tidy, fenced.run, self._clock.now),
                Upkeep(self._store, fenced, self._mounts, self._clock).run,
                partial(SecretIdUpkeep(self._store, fenced, self._clock).run, lambda reader: self._mounts.table(reader).mounts),
                PartitionChore(lambda: make_partitions(self._dsn), self._clock).run,
                Retention(fenced.run, *tables, self._clock, self._settings.audit_retention_days).run,
            ),
            duties=(self._seal.open_alone, self._seal.follow_keyring, self._seal.root_key.follow, self._rotation.note_uses_if_due),
        )

    def _make_revoker(self, runner: Runner, leases: LeaseStore, wrapping: Wrapping) -> Revoker:
        return Revoker(
            runner,
            tokens=self._tokens,
            leases=leases,
            mounts=self._mounts,
            clock=self._clock,
            cubbyhole_prefix=wrapping.cubbyhole_prefix,
        )

    def _make_system(
        self,
        settings: Settings,
        *,
        leases: LeaseStore,
        wrapping: Wrapping,
        revoker: Revoker,
        devices: AuditTable,
        tune: TunePaths,
        remount: RemountPaths,
    ) -> Backend:
        return Backend(
            kind="system",
            paths=(
                *SealPaths(self._seal, self._populate, settings.storage.kind).paths(),
                *RotatePaths(self._seal, self._rotation).paths(),
                *raw_paths(enabled=settings.raw_storage_endpoint),
                *self._list_share_paths(),
                *WrappingPaths(wrapping, self._tokens).paths(),
                *tune.paths(),  # before the mounts: their path takes all
                *MountPaths(self._mounts, revoker).paths(),
                *remount.paths(),
                *PolicyPaths(self._policies).paths(),
                *CapabilityPaths(self._tokens, self._authority).paths(),
                *LeasePaths(leases, self._tokens, self._mounts, revoker, self._store).paths(),
                *UiPaths(self._mounts).paths(),
                *validate_paths(self._logins),
                *SpecPaths(self._mounts).paths(),
                *tool_paths(),
                *locked_user_paths(self._lockout, self._mounts),
                *host_paths(),
                *version_paths(),
                *self.operations.paths(self._sources),
                *AuditHeaderPaths(devices).paths(),
                *AuditPaths(devices, settings.audit_dir, self._checkpointer.close).paths(),
                *evidence_paths(),
            ),
            help="The system backend controls the server.",
            system=True,
        )

    def _list_share_paths(self) -> tuple[Path, ...]:
        """Return the table of what a quorum of shareholders can do besides unsealing."""
        generations = RootGeneration(self._seal, self._issue_root)
        return (
            *rekey_paths(self._seal, self._store, self._clock),
            *GenerateRootPaths(generations, self._seal, self._store, bare=True).paths(),
            *GenerateRootPaths(generations, self._seal, self._store, bare=False).paths(),
            *decode_paths(),
        )

    # -- life ---------------------------------------------------------------------------------------------------------

    def prepare(self) -> DevServer | None:
        """Bring the schema up to date, and open a seal that needs nobody. A development server is initialised first. Before the fork."""
        for name in migrate(self._settings):
            _log.info("migration applied", name=name)
        make_partitions(self._dsn)
        make_folder(self._settings)
        tables = sum(device.kind == "postgres" for device in self._settings.audit)
        if tables and owns_records(self._dsn):
            _log.warning("the database role owns the audit table: whoever has its password can alter records (docs/audit.md)")
        capacity.check_room(self._dsn, self._settings.workers, self._settings.threads, tables)
        self._physical.open()
        try:
            if self._settings.dev:
                return self._start_dev()
            self._seal.locks.check_start(self._store.read())
            self._seal.open_alone()
            return None
        finally:
            self._physical.close()

    @property
    def gate(self) -> Gate:
        """Return what decides about a request before it is read."""
        return self.operations.make_gate(self._store, self._seal.is_open)

    def start_worker(self) -> None:
        """Open connections and start background work. Call after the fork."""
        self._physical.open()
        self._listener.start()
        self._listener.await_announced()
        self._expiry.start()
        self.operations.start(self._sources, self._expiry)
        self._checkpointer.start()

    def stop_worker(self) -> None:
        """End background work and close connections."""
        self._expiry.stop()
        self._checkpointer.stop()
        with suppress(VaultError):  # what is not noted counts as the uses of a killed worker do
            self._rotation.note_uses()
        self.operations.stop()
        self._listener.stop()
        self._physical.close()

    def retire(self) -> None:
        """Leave nothing of this host for others to ask about; call when all workers have ended."""
        retire(self._dsn, self._page.host_id)

    def reload(self, settings: Settings) -> None:
        """Take over what may change while the server runs, in this process; certificates are delivery's, audit files need no order."""
        log.configure(settings)
        self.operations.reload(settings)

    def worker_died(self) -> None:
        """Make every worker read anew: the dead one may have committed what it did not announce."""
        self._page.generations.bump_all()

    def _now_text(self) -> str:
        return format_rfc3339_nano(self._clock.now_ns())

    # -- first start --------------------------------------------------------------------------------------------------

    def _populate(self, transaction: Transaction, root_token: str = "", mounts: tuple[Mount, ...] = ()) -> Issued:
        for mount in (*default_mounts(self._mounts), *mounts):
            self._mounts.add(transaction, mount)
        self._policies.install_defaults(transaction)
        record_release(transaction, self._clock.now())
        return self._issue_root(transaction, root_token)

    def _issue_root(self, transaction: Transaction, token_id: str = "") -> Issued:
        now_ns = self._clock.now_ns()
        token = Token(
            key="", policies=("root",), path="auth/token/root", display_name="root", creation_time=now_ns // 10**9, issued_ns=now_ns
        )
        return self._tokens.create(transaction, token, token_id=token_id)

    def _start_dev(self) -> DevServer:
        secret = self._mounts.new("secret/", "kv-v2", description="key/value secret storage")
        root: list[Issued] = []

        def initialize(transaction: Transaction) -> str:
            made = self._seal.initialize(
                transaction,
                1,
                1,
                lambda inner: root.append(self._populate(inner, self._settings.dev_root_token.reveal(), (secret,))),
            )
            return b64encode(made.shares[0]).decode()

        unseal_key = self._store.run(initialize)
        opening = self._seal.unseal(self._store.read(), b64decode(unseal_key))
        if opening is not None:
            self._seal.open(opening)
        return DevServer(root_token=root[-1].id, unseal_key=unseal_key)


def build(settings: Settings, page: HostPage) -> Service:
    """Return the service; opens nothing. Raises WrongSetting."""
    try:
        return Service(settings, page)
    except InvalidRequest as refusal:  # of an audit device or a place of checkpoints
        raise WrongSetting(str(refusal)) from None
