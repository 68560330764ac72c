"""The files of the migrations."""

from pathlib import Path

import pytest

from vault.storage.migration import MigrationError, find_folder, list_migrations


@pytest.mark.parametrize(
    "names", [("0002_b.sql",), ("0001_a.sql", "0003_c.sql"), ("0001_a.sql", "0001_b.sql"), ("1_a.sql",), ("0001_A-B.sql",)]
)
def test_gaps_and_strange_names_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    """The order of the files must be beyond doubt."""
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(MigrationError):
        list_migrations(tmp_path)


def test_files_are_listed_in_order_with_their_checksum(tmp_path: Path) -> None:
    """Files come by number; the checksum is that of the text."""
    for name in ("0002_b.sql", "0001_a.sql"):
        (tmp_path / name).write_text("SELECT 1")
    (tmp_path / "README").write_text("not a migration")
    found = list_migrations(tmp_path)
    assert [(item.number, item.name) for item in found] == [(1, "0001_a.sql"), (2, "0002_b.sql")]
    assert found[0].checksum == "e004ebd5b5532a4b85984a62f8ad48a81aa3460c1ca07701f386135d72cdecf5"


def test_own_files_are_found() -> None:
    """The service knows where its own files are."""
    assert list_migrations(find_folder())[0].name == "0001_entry.sql"
