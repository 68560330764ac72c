"""The check of the SQL statements: it passes what is right, and sees what is wrong."""

from typing import NamedTuple

import pytest

from vault.storage import statement
from vault.storage.sqlcheck import check
from vault.storage.statement import Statement


class Row(NamedTuple):
    """A row for wrong statements."""

    version: int


class OptionalRow(NamedTuple):
    """The same, which may be absent."""

    version: int | None


class ExpiryRow(NamedTuple):
    """A column that may be null, declared as if it could not."""

    expires_at: float


class OptionalExpiryRow(NamedTuple):
    """The same, declared as it is."""

    expires_at: float | None


class TextRow(NamedTuple):
    """A number, declared as text."""

    version: str


VERSION = "SELECT version FROM vault.entry WHERE parent = $1::text"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (Statement(sql="SELECT version FROM vault.entri", parameters=(), row=Row), "does not exist"),
        (Statement(sql="SELEC version", parameters=(), row=Row), "syntax error"),
        (Statement(sql=VERSION, parameters=("bytea",), row=Row), "parameters are ('text',)"),
        (Statement(sql=VERSION, parameters=(), row=Row), "parameters are ('text',)"),
        (Statement(sql=VERSION, parameters=("text",), row=TextRow), "version is bigint"),
        (Statement(sql="SELECT version AS v FROM vault.entry", parameters=(), row=Row), "columns are ['v']"),
        (Statement(sql="SELECT version, value FROM vault.entry", parameters=(), row=Row), "columns are ['version', 'value']"),
        (Statement(sql="SELECT expires_at FROM vault.entry", parameters=(), row=ExpiryRow), "expires_at may be null"),
    ],
)
def test_wrong_declaration_is_seen(dsn: str, wrong: Statement[tuple[object, ...]], told: str) -> None:
    """Each way in which a declaration can differ from the database is found."""
    (fault,) = check(dsn, (wrong,))
    assert told in fault


def test_right_declarations_pass(dsn: str) -> None:
    """Declarations that fit are left alone."""
    right = (
        Statement(sql=VERSION, parameters=("text",), row=Row),
        Statement(sql=VERSION, parameters=("text",), row=OptionalRow),
        Statement(sql="SELECT expires_at FROM vault.entry", parameters=(), row=OptionalExpiryRow),
    )
    assert check(dsn, right) == ()


def test_one_wrong_statement_hides_no_other(dsn: str) -> None:
    """All faults of a run are told, each of its statement."""
    wrong = Statement(sql="SELECT nothing", parameters=(), row=Row)
    assert len(check(dsn, (wrong, wrong))) == 2


def test_own_statements_pass(dsn: str) -> None:
    """Every statement of the storage is what it says."""
    assert check(dsn) == ()


def test_every_statement_is_checked() -> None:
    """No statement of the module is left out of the list."""
    declared = {value.sql for value in vars(statement).values() if isinstance(value, Statement)}
    assert declared == {item.sql for item in statement.ALL}
