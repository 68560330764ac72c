"""The audit devices that the configuration declares: there before the seal is open, with a salt of this start until then."""

from vault.audit.device import Device, DeviceConfig, Host, make_device
from vault.config_file import WrongSetting
from vault.crypto.random import random_bytes
from vault.errors import InvalidRequest
from vault.settings import AuditDevice, Settings


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
