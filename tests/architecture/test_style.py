"""The written style, as far as a program can check it."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source import Module, list_functions, list_modules, parse_module

FUNCTION_LINES_MAX = 50
FILE_LINES_MAX = 400
BANNED_NAMES = frozenset({"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"})

# Longer than allowed, each with its reason: "path" for a file, "path:function" for a function.
LONGER_ALLOWED: dict[str, str] = {}


def _find_long_functions(module: Module) -> Iterator[str]:
    for function in list_functions(module):
        lines = (function.end_lineno or 0) - function.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{module.path}:{function.name}"


def _find_undocumented_tests(module: Module) -> Iterator[str]:
    for function in list_functions(module):
        if function.name.startswith("test_") and not ast.get_docstring(function):
            yield f"{module.path}:{function.name}"


def test_functions_are_short() -> None:
    """A function has at most fifty lines, or a reason in the list above."""
    found = {name for module in list_modules("src", "benchmarks", "tests") for name in _find_long_functions(module)}
    assert found <= LONGER_ALLOWED.keys()


def test_files_are_short() -> None:
    """A file has at most four hundred lines, or a reason in the list above."""
    found = {module.path for module in list_modules("src", "benchmarks", "tests") if len(module.text.splitlines()) > FILE_LINES_MAX}
    assert found <= LONGER_ALLOWED.keys()


def test_allowances_are_needed() -> None:
    """An allowance that nothing uses any more is removed."""
    modules = list_modules("src", "benchmarks", "tests")
    functions = {name for module in modules for name in _find_long_functions(module)}
    files = {module.path for module in modules if len(module.text.splitlines()) > FILE_LINES_MAX}
    assert LONGER_ALLOWED.keys() <= functions | files


def test_modules_are_named_for_their_subject() -> None:
    """No module or package is a drawer for things without a name."""
    parts = {(module.path, part) for module in list_modules("src", "benchmarks") for part in module.path.removesuffix(".py").split("/")}
    assert not [path for path, part in parts if part in BANNED_NAMES]


def test_modules_have_docstrings() -> None:
    """A module that holds anything says what it is for."""
    assert not [module.path for module in list_modules("src", "benchmarks") if module.text.strip() and not ast.get_docstring(module.tree)]


def test_tests_state_their_behaviour() -> None:
    """Every test says in its docstring what must hold."""
    assert not [name for module in list_modules("tests") for name in _find_undocumented_tests(module)]


@pytest.mark.parametrize("lines", [FUNCTION_LINES_MAX, FUNCTION_LINES_MAX + 1])
def test_long_functions_are_found(lines: int) -> None:
    """The check sees the first function that is one line too long."""
    module = parse_module("sample.py", "def f():\n" + "    pass\n" * (lines - 1))
    assert bool(list(_find_long_functions(module))) == (lines > FUNCTION_LINES_MAX)
