"""What tests of the audit table share: a chain on it, and a look at its rows."""

from pathlib import Path
from typing import Any

import psycopg

from tests.unit.vault.audit.world import Page, now
from vault.audit.chain import Chain
from vault.audit.devices.postgres import TableSink
from vault.audit.verify import verify
from vault.storage.audit_rows import AuditRows
from vault.storage.embedded import Embedded

Connection = psycopg.Connection[Any]


def make_chain(server: Embedded, device: str, page: Page) -> Chain:
    """Return the chain of one worker."""
    return page.chain(TableSink(AuditRows(server.application_dsn), device, now))


def list_logs(connection: Connection, device: str) -> list[str]:
    """Return the logs of a device, oldest first."""
    rows = connection.execute("SELECT log FROM vault.audit_log WHERE device = %s ORDER BY begun_at", (device,)).fetchall()
    return [row[0] for row in rows]


def list_lines(connection: Connection, log: str) -> list[bytes]:
    """Return the lines of a log."""
    return [row[0] for row in connection.execute("SELECT line FROM vault.audit_record WHERE log = %s ORDER BY seq", (log,)).fetchall()]


def check_log(connection: Connection, log: str, folder: Path) -> int:
    """Verify a log as the file that it would be; return how many records it has."""
    copy = folder / log
    copy.write_bytes(b"".join(line + b"\n" for line in list_lines(connection, log)))
    report = verify([copy])
    assert report.ok, report
    return report.records
