"""What the configuration declares: where the database is, and which audit devices there are."""

from pathlib import Path as FilePath

from vault.audit.device import Device, DeviceConfig, Host, make_device
from vault.config_file import WrongSetting
from vault.crypto.random import random_bytes
from vault.errors import InvalidRequest
from vault.settings import AuditDevice, Settings
from vault.storage import migration
from vault.storage.embedded import APPLICATION_USER, Embedded


def find_dsn(settings: Settings) -> str:
    """Return how to reach the database; an embedded one is known by its folder."""
    storage = settings.storage
    return storage.connection_url.reveal() or Embedded(FilePath(storage.path)).application_dsn


def migrate(settings: Settings) -> tuple[str, ...]:
    """Bring the schema up to date; return what was applied. A PostgreSQL of our own has a role for it."""
    if settings.storage.connection_url:
        return migration.migrate(settings.storage.connection_url.reveal())
    return migration.migrate(Embedded(FilePath(settings.storage.path)).dsn, application_role=APPLICATION_USER)


def declared_devices(settings: Settings, host: Host) -> tuple[Device, ...]:
    """Return the devices that the configuration declares, with a salt of this start for the time while sealed."""
    salt = random_bytes(32)

    def make(slot: int, device: AuditDevice) -> Device:
        config = DeviceConfig(path=f"{device.name}/", kind=device.kind, slot=slot, options=device.options, declared=True)
        try:
            return make_device(config, salt, host)
        except InvalidRequest as refusal:
            raise WrongSetting(f"{device.where}: {refusal}") from None

    return tuple(make(slot, device) for slot, device in enumerate(settings.audit))
