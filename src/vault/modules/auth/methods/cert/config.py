"""Configuration of a mount of the method `cert`. Absent fields of a write keep their value."""

from dataclasses import asdict, dataclass, replace

import msgspec

from vault.errors import InvalidRequest
from vault.logical.args import BOOL, COUNT, arg
from vault.logical.context import Context
from vault.logical.response import Response
from vault.storage.view import View

_CONFIG = "config"
_CACHE_SIZES = range(2, 100_001)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration as stored."""

    disable_binding: bool = False
    enable_identity_alias_metadata: bool = False
    enable_metadata_on_failures: bool = False
    ocsp_cache_size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteConfig:
    """The fields; absent ones keep their value."""

    disable_binding: bool | None = arg(BOOL, "Renew without the certificate of the login.", default=None)
    enable_identity_alias_metadata: bool | None = arg(BOOL, "Keep metadata of the certificate with the alias.", default=None)
    enable_metadata_on_failures: bool | None = arg(BOOL, "Tell metadata of a certificate that is refused.", default=None)
    ocsp_cache_size: int | None = arg(COUNT, "How many answers of OCSP responders are kept.", default=None)


def _decode(value: bytes) -> Config:
    return msgspec.json.decode(value, type=Config)


def get_config(storage: View) -> Config:
    """Return the configuration."""
    entry = storage.get(_CONFIG)
    return Config() if entry is None else entry.decode(_decode)


def read_config(context: Context, _: object) -> Response:
    """Answer the configuration."""
    return Response(data=asdict(get_config(context.storage)))


def write_config(context: Context, args: WriteConfig) -> None:
    """Change the configuration."""
    if args.ocsp_cache_size is not None and args.ocsp_cache_size not in _CACHE_SIZES:
        raise InvalidRequest(f"invalid cache size, must be >= {_CACHE_SIZES.start} and <= {_CACHE_SIZES.stop - 1}")
    given = {name: value for name, value in asdict(args).items() if value is not None}
    context.storage.put(_CONFIG, msgspec.json.encode(replace(get_config(context.storage), **given)))
