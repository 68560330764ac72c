"""Keys in the configuration: as text, in a file, in a variable; hexadecimal or base64."""

from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path

from vault.config_file import WrongSetting
from vault.secret import Secret

KEY_BYTES = 32


def read_key(text: str, environment: Mapping[str, str], where: str) -> Secret:
    """Return a key of a seal as hex, from where `text` says: a file, a variable, or itself."""
    kind, _, place = text.partition("://")
    if kind == "env" and not environment.get(place):
        raise WrongSetting(f"{where}: {place}: expected a variable that is set")
    try:
        raw = Path(place).read_bytes() if kind == "file" else environment.get(place, "").encode() if kind == "env" else text.encode()
    except OSError as error:
        raise WrongSetting(f"{where}: {place}: {error.strerror}") from None
    for parse in (*((bytes,) if kind == "file" else ()), _parse_hex, _parse_base64):
        key = parse(raw)
        if len(key) == KEY_BYTES:
            return Secret(key.hex())
    raise WrongSetting(f"{where}: expected {KEY_BYTES} bytes, in a file (file://PATH) or a variable (env://NAME); as text, base64 or hex")


def _parse_hex(raw: bytes) -> bytes:
    try:
        return bytes.fromhex(raw.decode("ascii"))
    except ValueError:
        return b""


def _parse_base64(raw: bytes) -> bytes:
    try:
        return b64decode(raw.strip(), validate=True)
    except ValueError:
        return b""
