"""Reads the tree once for the style tests."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One Python file: where it is, its text and its syntax tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """The last part of its dotted name."""
        return self.path.rsplit("/", 1)[-1].removesuffix(".py")


def parse_module(path: str, text: str) -> Module:
    """Parse one file."""
    return Module(path=path, text=text, tree=ast.parse(text, filename=path))


@cache
def list_modules(*folders: str) -> tuple[Module, ...]:
    """Return every Python file below the folders, paths relative to the repository."""
    return tuple(
        parse_module(str(path.relative_to(ROOT)), path.read_text()) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))
    )


def list_functions(module: Module) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
    """Return every function and method, nested ones too."""
    return tuple(node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
