"""What import-linter cannot see: who reads the clock, the environment, and who writes SQL."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.source import Module, list_modules, parse_module

CLOCK_MODULE = "src/vault/clock.py"
ENVIRONMENT_MODULE = "src/vault/config.py"
CLOCK_READS = frozenset(
    {
        *(
            f"time.{name}"
            for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "localtime", "gmtime")
        ),
        *(f"datetime.{name}" for name in ("now", "utcnow", "today")),
        *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
        *("date.today", "datetime.date.today"),
    }
)
ENVIRONMENT_READS = frozenset({"os.environ", "os.environb", "os.getenv"})
MODULES_OF_READS = frozenset({"time", "datetime", "os"})

STATEMENT_MODULES = re.compile(r"^src/(?:.+/)?(?:statement|statements|[a-z_]+_statement|[a-z_]+_statements)\.py$")
SQL = re.compile(
    r"^\s*(?:SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|WITH\s+\w+\s+AS\s|CREATE\s+(?:TABLE|INDEX|SCHEMA)\s"
    r"|ALTER\s+TABLE\s|DROP\s+(?:TABLE|SCHEMA)\s|TRUNCATE\s+\w|LISTEN\s+\w|NOTIFY\s+\w)",
    re.IGNORECASE,
)


def _find_dotted(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES_OF_READS:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _find_reads(module: Module, names: frozenset[str]) -> bool:
    return any(dotted in names for dotted in _find_dotted(module.tree))


def _list_readers(names: frozenset[str]) -> set[str]:
    return {module.path for module in list_modules("src") if _find_reads(module, names)}


def _has_sql(module: Module) -> bool:
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return any(
        isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings and SQL.match(node.value)
        for node in ast.walk(module.tree)
    )


def test_clock_is_read_in_one_module() -> None:
    """Everything but the clock module gets the time from a Clock."""
    assert _list_readers(CLOCK_READS) <= {CLOCK_MODULE}


def test_environment_is_read_in_one_module() -> None:
    """Everything but the configuration gets its settings as arguments."""
    assert _list_readers(ENVIRONMENT_READS) <= {ENVIRONMENT_MODULE}


def test_sql_lives_in_statement_modules() -> None:
    """A statement is a named constant in a module that sql-check knows."""
    assert not [module.path for module in list_modules("src") if _has_sql(module) and not STATEMENT_MODULES.match(module.path)]


@pytest.mark.parametrize(
    "text",
    ["import time\nx = time.time()", "from time import monotonic", "from datetime import datetime\nx = datetime.now()"],
)
def test_clock_reads_are_found(text: str) -> None:
    """The check sees every way to read the time."""
    assert _find_reads(parse_module("sample.py", text), CLOCK_READS)


@pytest.mark.parametrize("text", ["import os\nx = os.environ['A']", "from os import getenv", "import os\nx = os.environ.get('A')"])
def test_environment_reads_are_found(text: str) -> None:
    """The check sees every way to read the environment."""
    assert _find_reads(parse_module("sample.py", text), ENVIRONMENT_READS)


@pytest.mark.parametrize(
    ("text", "is_sql"),
    [
        ("X = 'select a from b'", True),
        ("X = f'''\n  INSERT INTO {table} VALUES (1)'''", True),
        ("run('update entry set value = 1')", True),
        ("X = 'Update the policy'", False),
        ("'''Select the mount.'''", False),
    ],
)
def test_sql_is_found(text: str, is_sql: bool) -> None:
    """The check sees statements, and leaves prose alone."""
    assert _has_sql(parse_module("sample.py", text)) is is_sql
