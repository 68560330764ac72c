import io
from pathlib import Path

import click
import pytest

from vault.cli.kv import Place, parse_fields


@pytest.mark.parametrize("arguments", [("novalue",), ("=x",)])
def test_fields_without_a_name_are_refused(arguments: tuple[str, ...]) -> None:
    """An argument that is no pair is a mistake, not a field."""
    with pytest.raises(click.UsageError):
        parse_fields(arguments)


def test_fields_from_a_missing_file_are_refused(tmp_path: Path) -> None:
    """A secret is never replaced by the name of a file."""
    with pytest.raises(click.ClickException):
        parse_fields((f"a=@{tmp_path / 'none'}",))


def test_fields_come_from_arguments_files_and_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value may be given, in a file, or on standard input; a backslash takes a leading @ as it is."""
    file = tmp_path / "value"
    file.write_text("from file")
    monkeypatch.setattr("sys.stdin", io.StringIO("from input"))
    fields = parse_fields(("a=1=2", f"b=@{file}", "c=-", "d=\\@e", "f="))
    assert fields == {"a": "1=2", "b": "from file", "c": "from input", "d": "@e", "f": ""}


def test_fields_come_from_json(tmp_path: Path) -> None:
    """A file may hold all fields, with their types."""
    file = tmp_path / "fields.json"
    file.write_text('{"a": 1}')
    assert parse_fields((f"@{file}",)) == {"a": 1}
    file.write_text("[1]")
    with pytest.raises(click.ClickException):
        parse_fields((f"@{file}",))


def test_place_knows_the_parts_of_a_versioned_engine() -> None:
    """The version decides whether there is a part between mount and path; odd names are quoted."""
    assert Place(mount="secret/", path="a b/c%", versioned=True).at("data") == "secret/data/a%20b/c%25"
    assert Place(mount="kv/", path="a", versioned=False).at("data") == "kv/a"
    assert Place(mount="secret/", path="", versioned=True).at("metadata") == "secret/metadata"
