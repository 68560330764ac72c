"""The systemd unit and the containers' files, as far as they can be checked where neither runs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT
from vault.config import combine
from vault.config_file import read_file

UNIT = ROOT / "deploy" / "health-vault.service"
BINARY = "/opt/health-vault/.venv/bin/health-vault"
# What keeps keys in memory and everything else out.
REQUIRED = frozenset(
    {
        *("NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "LimitCORE=0", "LimitMEMLOCK=infinity"),
        *("MemorySwapMax=0", "UMask=0077", "CapabilityBoundingSet=", "User=health-vault", "KillMode=mixed"),
        *("ExecReload=/bin/kill -HUP $MAINPID", "Type=notify"),
    }
)


def test_unit_keeps_its_promises() -> None:
    """No hardening is lost, and no secret stands in the unit."""
    lines = set(UNIT.read_text().splitlines())
    assert lines >= REQUIRED
    assert not [line for line in lines if line.startswith(("Environment=", "EnvironmentFile="))]


def test_configuration_of_the_containers_can_be_used() -> None:
    """The server takes the file that compose mounts, without a warning, and connects as the role that compose makes."""
    settings = combine(dev=False, flags={}, environment={}, files=(read_file(ROOT / "deploy" / "compose.hcl"),))
    assert settings.warnings == ()
    assert "//vault_application:" in settings.storage.connection_url.reveal()
    assert "CREATE ROLE vault_application LOGIN" in (ROOT / "deploy" / "compose.sql").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_unit_is_what_systemd_takes(tmp_path: Path) -> None:
    """Systemd's own check finds nothing wrong."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(BINARY, str(Path(sys.executable).parent / "health-vault")))
    found = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
