"""Which audit devices there are: those that the configuration declares, and those enabled over the API, which are rows.

A worker sees that the row has changed because it is another object, and swaps its devices before the request is put on record.
While sealed the row cannot be read; a plain copy without salts says where records go, and they are hashed with a salt of this
start. The copy is not protected against whoever can write to the database, so its files and addresses must be allowed as well.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from vault.audit.chain import LOCK_SECONDS_MAX
from vault.audit.device import STREAMS, Device, DeviceConfig, Host, address_of, file_path, make_device, require_complete
from vault.audit.devices.reserve import SUFFIX
from vault.audit.devices.tail import find_log
from vault.audit.record import NO_HEADERS
from vault.audit.trail import Broker
from vault.crypto import random
from vault.errors import InvalidRequest
from vault.host import AUDIT_SLOT_BYTES, AUDIT_SLOTS
from vault.storage.cache import Entry
from vault.storage.transaction import Store, Transaction

TABLE = "core/audit"
PLAIN = "core/audit-plain"
SALT_BYTES = 32
_NO_LOGS = frozenset({".checkpoints", SUFFIX})  # what lies beside a log


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDevice:
    """A device with the key of its hashes."""

    config: DeviceConfig
    salt: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTable:
    """The row. Slots are given out in turn, so that one that was freed rests as long as possible."""

    devices: tuple[StoredDevice, ...] = ()
    declared_salts: Mapping[str, bytes] = field(default_factory=dict)
    next_slot: int = 0
    headers: Mapping[str, bool] = field(default_factory=dict)  # of requests that are put on record, and whether hashed


def _decode_table(value: bytes) -> StoredTable:
    return msgspec.json.decode(value, type=StoredTable)


def resolve_file(audit_dir: str, name: str) -> str:
    """Return the file that a name means; raises InvalidRequest unless it lies inside the folder, links resolved."""
    if not audit_dir:
        raise InvalidRequest("no folder for audit files is configured (audit_dir)")
    try:
        folder = Path(audit_dir).resolve()
        found = (folder / name).resolve()
        is_folder = found.is_dir()
    except (OSError, ValueError, RuntimeError):
        raise InvalidRequest("file_path cannot be used") from None
    if found == folder or folder not in found.parents or is_folder or found.suffix in _NO_LOGS:
        raise InvalidRequest("file_path must lie inside the configured folder for audit files, and not be what lies beside them")
    return str(found)


class AuditTable:
    """The devices of one worker, kept as the row says."""

    def __init__(
        self, broker: Broker, host: Host, store: Store, audit_dir: str, declared: tuple[Device, ...], *, addresses: tuple[str, ...] = ()
    ) -> None:
        """`addresses` are those that devices of the API may send to."""
        self._broker = broker
        self._host = host
        self._store = store
        self._audit_dir = audit_dir
        self._addresses = addresses
        self._declared = declared
        self._start_salt = random.random_bytes(SALT_BYTES)
        self._swapping = threading.Lock()
        self._entry: Entry | None = None
        self._plain: bytes | None = None
        self._is_open = False
        self._made: dict[bytes, Device] = {}
        require_complete(self._declared_configs)
        broker.devices = _put_files_first(declared)  # until the row is read: never without devices where the configuration has some

    # -- every request ------------------------------------------------------------------------------------------------

    def refresh(self, transaction: Transaction) -> None:
        """Make the devices follow the row. Call on every request of an open server, before it is put on record."""
        entry = transaction.get(TABLE)
        if entry is not self._entry or not self._is_open:
            self._follow(entry)

    def list_current(self) -> tuple[Device, ...]:
        """Return the devices of an open server as the row says now."""
        self.refresh(self._store.read())
        return self._broker.devices

    def _follow(self, entry: Entry | None) -> None:
        table = _table_of(entry)
        if any(device.config.path not in table.declared_salts for device in self._declared):
            self._store.run(self._add_salts)
            entry = self._store.read().get(TABLE)
            table = _table_of(entry)
        with self._swapping:
            declared = tuple(device.with_salt(table.declared_salts[device.config.path]) for device in self._declared)
            self._swap((*declared, *(self._make(stored.config, stored.salt) for stored in table.devices)))
            self._broker.headers = table.headers
            self._entry, self._plain, self._is_open = entry, None, True

    def _add_salts(self, transaction: Transaction) -> None:
        table = self.read(transaction)
        missing = [device.config.path for device in self._declared if device.config.path not in table.declared_salts]
        if missing:
            salts = {**table.declared_salts, **{path: random.random_bytes(SALT_BYTES) for path in missing}}
            self._save(transaction, replace(table, declared_salts=salts))

    def refresh_sealed(self, transaction: Transaction) -> None:
        """Make the devices follow the plain copy. Call on every request of a sealed server."""
        plain = transaction.get_plain(PLAIN)
        if not self._is_open and plain == self._plain:
            return
        with self._swapping:
            configs = msgspec.json.decode(plain, type=tuple[DeviceConfig, ...]) if plain else ()
            allowed = [config for config in configs if self._is_allowed(config)]
            self._swap((*self._declared, *(self._make(config, self._start_salt) for config in allowed)))
            self._entry, self._plain, self._is_open = None, plain, False
            self._broker.headers = NO_HEADERS  # they stand in the row

    def _is_allowed(self, config: DeviceConfig) -> bool:
        try:
            self.check_place(config)
            make_device(config, self._start_salt, self._host)
        except InvalidRequest:
            return False
        return True

    def _make(self, config: DeviceConfig, salt: bytes) -> Device:
        """Return the device of a configuration; the same chain as long as the configuration is the same."""
        key = msgspec.json.encode(config)
        known = self._made.get(key)
        if known is None:
            known = self._made[key] = make_device(config, salt, self._host)
        return known.with_salt(salt)

    def _swap(self, devices: tuple[Device, ...]) -> None:
        self._broker.devices = _put_files_first(devices)
        used = {msgspec.json.encode(device.config) for device in devices}
        self._made = {key: device for key, device in self._made.items() if key in used}

    # -- changing -----------------------------------------------------------------------------------------------------

    def read(self, transaction: Transaction) -> StoredTable:
        """Return the row."""
        return _table_of(transaction.get(TABLE))

    def _save(self, transaction: Transaction, table: StoredTable) -> None:
        transaction.put(TABLE, msgspec.json.encode(table))
        transaction.put_plain(PLAIN, msgspec.json.encode(tuple(stored.config for stored in table.devices)))

    def list_configs(self, transaction: Transaction) -> tuple[DeviceConfig, ...]:
        """Return all devices, those of the configuration first."""
        return (*self._declared_configs, *(stored.config for stored in self.read(transaction).devices))

    def is_declared(self, path: str) -> bool:
        """Return whether the configuration declares a device."""
        return any(device.config.path == path for device in self._declared)

    def check_place(self, config: DeviceConfig) -> None:
        """Refuse a file outside the configured folder or in use by the configuration, and an address that it does not allow."""
        address = address_of(config)
        if address and address not in self._addresses:
            raise InvalidRequest("the address is not among those that the configuration allows (audit_addresses)")
        name = file_path(config)
        if config.kind != "file" or not name or name in STREAMS:
            return
        found = resolve_file(self._audit_dir, name)
        if found in {_resolve(device.config) for device in self._declared}:
            raise InvalidRequest("file_path is in use")

    def add(self, transaction: Transaction, config: DeviceConfig) -> Device:
        """Store a device and return it, ready for its first record. Raises InvalidRequest."""
        table = self.read(transaction)
        self.check_place(config)
        place = _resolve(config)
        if place and (place in {_resolve(stored.config) for stored in table.devices} or self._is_continued(place)):
            raise InvalidRequest("file_path is in use")
        config = replace(config, slot=self._choose_slot(table))
        salt = random.random_bytes(SALT_BYTES)
        device = make_device(config, salt, self._host)
        self._clear(config.slot)
        devices = (*table.devices, StoredDevice(config=config, salt=salt))
        require_complete((*self._declared_configs, *(stored.config for stored in devices)))
        self._save(transaction, replace(table, devices=devices, next_slot=config.slot + 1))
        return device

    def _is_continued(self, place: str) -> bool:
        """Return whether a file is an earlier part of a log that another device writes: with a second end that would be no evidence."""
        log = find_log(Path(place))
        heads = (device.chain.find_head() for device in self._broker.devices)
        return bool(log) and log in {head.log for head in heads if head is not None}

    def _clear(self, slot: int) -> None:
        """Forget what an earlier device of a slot left."""
        lock = self._host.lock(slot)
        if not lock.take(LOCK_SECONDS_MAX):
            raise InvalidRequest("an earlier device of this place is still busy, try again")
        try:
            self._host.area(slot)[:] = bytes(AUDIT_SLOT_BYTES)
        finally:
            lock.release()

    @property
    def _declared_configs(self) -> tuple[DeviceConfig, ...]:
        return tuple(device.config for device in self._declared)

    def _choose_slot(self, table: StoredTable) -> int:
        used = {device.config.slot for device in self._declared} | {stored.config.slot for stored in table.devices}
        free = [slot % AUDIT_SLOTS for slot in range(table.next_slot, table.next_slot + AUDIT_SLOTS) if slot % AUDIT_SLOTS not in used]
        if not free:
            raise InvalidRequest(f"more than {AUDIT_SLOTS} audit devices")
        return free[0]

    def remove(self, transaction: Transaction, path: str) -> Device | None:
        """Forget a device and return it, for its last record; None if there is none."""
        table = self.read(transaction)
        found = next((stored for stored in table.devices if stored.config.path == path), None)
        if found is None:
            return None
        devices = tuple(stored for stored in table.devices if stored is not found)
        require_complete((*self._declared_configs, *(stored.config for stored in devices)))
        self._save(transaction, replace(table, devices=devices))
        return self._find(path)

    def save_headers(self, transaction: Transaction, headers: Mapping[str, bool]) -> None:
        """Put these request headers on record from the next request on."""
        self._save(transaction, replace(self.read(transaction), headers=headers))

    def _find(self, path: str) -> Device | None:
        return next((device for device in self._broker.devices if device.config.path == path), None)

    def hash_value(self, path: str, text: str) -> str:
        """Return what a device's records show in place of a string; raises InvalidRequest."""
        device = self._find(path)
        if device is None:
            raise InvalidRequest(f'unknown audit backend "{path}"')
        return device.hash_value(text)


def _put_files_first(devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """Return devices in the order in which they are asked: a file answers at once, and leaves its time to those that may hang."""
    return tuple(sorted(devices, key=lambda device: device.config.kind != "file"))


def _table_of(entry: Entry | None) -> StoredTable:
    return StoredTable() if entry is None else entry.decode(_decode_table)


def _resolve(config: DeviceConfig) -> str:
    name = file_path(config)
    return str(Path(name).resolve()) if config.kind == "file" and name and name not in STREAMS else ""
