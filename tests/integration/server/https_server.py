"""A real server with one TLS listener over a throw-away database. Run as a program: address, certificate, key, folder, workers."""

import sys
from dataclasses import replace

from api.server import serve
from vault.config import combine, parse_address
from vault.settings import Listener, Settings, Storage, Tls


def read_settings() -> Settings:
    """Return the settings that the arguments make."""
    address, cert_file, key_file, folder, workers = sys.argv[1:]
    tls = Tls(cert_file=cert_file, key_file=key_file)
    listener = Listener(address=parse_address(address), tls=tls)
    flags = {"workers": workers, "audit_dir": folder, "data_dir": folder}
    settings = combine(dev=False, flags=flags, environment={}, files=())
    return replace(settings, listeners=(listener,), storage=Storage(kind="inmem"), disable_mlock=True)


if __name__ == "__main__":
    serve(read_settings(), read_settings)
