"""The parts put together: what still answers when nothing else does, and what is never told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vault.bootstrap import Service
from vault.config import combine
from vault.host import HostPage
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.modules.system.state import StatePaths
from vault.secret import Secret
from vault.settings import AuditDevice, Settings, StaticSeal, Storage

SECRET = "canary-of-the-configuration"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings with a secret wherever one may be, and a database that nobody answers for."""
    made = combine(dev=True, flags={}, environment={}, files=())
    return replace(
        made,
        storage=Storage(kind="postgresql", connection_url=Secret(f"postgresql://nobody:{SECRET}@127.0.0.1:1/nowhere")),
        audit=(AuditDevice(kind="file", name="file", options={"file_path": str(tmp_path / "audit.log")}),),
        audit_dir=str(tmp_path),
        dev_root_token=Secret(SECRET),
        seal=StaticSeal(current_key_id="a", current_key=Secret(SECRET), previous_key=Secret(SECRET)),
    )


def test_metrics_answer_without_a_database(settings: Settings) -> None:
    """Through an open door a scrape tells that the host is sealed, and leaves out what only storage knows."""
    service = Service(settings, HostPage())
    request = Request(id="r", operation=Operation.READ, path="sys/metrics", open_doors=frozenset({"metrics"}))
    response = service.core.handle(request)
    assert response is not None
    names = {entry["Name"]: entry["Value"] for entry in json.loads(response.body or b"")["Gauges"]}
    assert names["vault.core.unsealed"] == 0
    assert "vault.token.count" not in names


def test_numbers_of_storage_are_left_out_while_it_fails(settings: Settings) -> None:
    """Unsealed and without a database the rest of the metrics is still told."""
    service = Service(settings, HostPage())
    facts = service.operations._ask(replace(service._sources, is_open=lambda: True))
    assert (facts.unsealed, facts.mounts, facts.tokens, facts.leases) == (True, None, None, None)


def test_configuration_is_told_without_its_secrets(settings: Settings) -> None:
    """No password, key or token of the configuration, and no address of the database."""
    (row,) = StatePaths(settings).paths()
    response = row.operations[Operation.READ].handler(None, None)
    assert response is not None
    text = repr(response.data)
    assert SECRET not in text
    assert "nowhere" not in text
    assert response.data is not None
    assert response.data["storage"] == {"type": "postgresql"}
