"""A host whose seal is opened by a static key or by shares, and rows whose writer can be killed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.unit.vault.fault import Killed
from tests.unit.vault.modules.system.fakes import SystemRows
from tests.unit.vault.modules.system.worker import Worker
from tests.unit.vault.modules.system.world import ROOT
from tests.unit.vault.test_seal import Host
from vault.errors import Sealed
from vault.secret import Secret
from vault.settings import StaticSeal
from vault.shares import ROOT_KEY
from vault.storage.physical import Change, Prepared, Row

K1, K2 = "11" * 32, "22" * 32
STATIC = StaticSeal(current_key_id="k1", current_key=Secret(K1))
DISABLED = replace(STATIC, disabled=True)
NEXT = StaticSeal(current_key_id="k2", current_key=Secret(K2), previous_key_id="k1", previous_key=Secret(K1))
NEXT_ALONE = StaticSeal(current_key_id="k2", current_key=Secret(K2))


class StaticHost(Host):
    """A host with (or without) a static key in its configuration, over rows that outlive it."""

    def __init__(self, static: StaticSeal | None = STATIC, rows: SystemRows | None = None) -> None:
        self.static = static
        super().__init__(rows)
        self.first.seal.open_alone()

    def restart(self, static: StaticSeal | None = STATIC) -> "StaticHost":
        """Return the host after a restart with another configuration."""
        return StaticHost(static, self.rows)

    def recover(self, shares: int = 5, threshold: int = 3) -> Any:
        """Initialise with recovery shares; return the answer's data."""
        return self.write("sys/init", token=None, recovery_shares=shares, recovery_threshold=threshold).data

    def give_all(self, keys: Sequence[str], worker: Worker | None = None, *, migrate: bool = False) -> Any:
        """Give shares; return the last answer's data."""
        answers = [self.write("sys/unseal", token=None, worker=worker, key=key, migrate=migrate) for key in keys]
        return answers[-1].data

    def migrate(self, keys: Sequence[str], worker: Worker | None = None) -> Any:
        """Give shares for a migration; return the last answer's data."""
        return self.give_all(keys, worker, migrate=True)

    def hear(self) -> None:
        """Look at all rows anew, as a host does when it hears of another one's writes."""
        self.page.generations.bump_all()
        self.page.generations.settle(self.page.generations.doubt)

    def is_serving(self, worker: Worker | None = None) -> bool:
        """Return whether the root token is known."""
        try:
            return bool(self.read("auth/token/lookup-self", token=ROOT, worker=worker))
        except Sealed:
            return False

    def change(self, path: str, value: bytes) -> None:
        """Change a row behind the server's back."""
        stored = self.rows._rows[path]
        self.rows._rows[path] = replace(stored, row=Row(value, stored.row.version + 1))


def is_good(host: StaticHost, keys: list[str]) -> bool:
    """Return whether a host serves, alone or with three of the shares."""
    if host.status()["sealed"]:
        for key in keys[2:5]:
            host.give(key)
    return host.is_serving()


class DyingRows(SystemRows):
    """Rows whose writer is killed as it changes the root key's lock: before the changes are checked, before they are visible, or after."""

    step = ""

    def prepare(self, version: int, changes: Sequence[Change], prefixes: Sequence[str], notice: str = "") -> Prepared:
        if not any(change.path == ROOT_KEY and change.value for change in changes) or not self.step:
            return super().prepare(version, changes, prefixes, notice)
        step, self.step = self.step, ""
        if step == "before":
            raise Killed
        prepared = super().prepare(version, changes, prefixes, notice)
        if step == "prepared":
            prepared.rollback()  # as the database does for a connection that is gone
            raise Killed
        prepared.commit()
        raise Killed
