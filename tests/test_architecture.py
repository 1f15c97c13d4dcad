"""Packages import only what the architecture allows; one module uses private library names."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import orchestrator
import trainables
from tests.support.paths import ROOT

# Modules of orchestrator that every package may use.
WORDS = {"errors", "labels", "outcome", "paths", "waiting"}
# Package -> what it may import beside WORDS, itself and trainables. A module is named with its
# package where the package may use nothing else of it.
MAY_IMPORT: dict[str, set[str]] = {
    "spec": set(),
    "ledger": set(),
    "lock": set(),
    "ray_internals": set(),
    "plan": {"spec", "ledger"},
    "cluster": {"plan.resources", "ray_internals"},
    "views": {"ledger", "spec"},
    "search": {"plan", "spec", "cluster.capacity", "ray_internals"},
    "running": {"search", "plan", "cluster", "ledger", "lock", "ray_internals"},
    "cli": {"spec", "ledger", "lock", "plan", "cluster", "views", "search", "running"},
}
SOURCES = sorted([*(ROOT / "orchestrator").rglob("*.py"), *(ROOT / "trainables").rglob("*.py")])
LIBRARIES = ("ray", "optuna")


def module_of(path: Path) -> str:
    """Return the dotted name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    """Yield the dotted names that a source file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_a_module_imports_only_what_the_table_allows(path):
    module = module_of(path)
    names = [name for name in imports_of(path) if below(name, "orchestrator")]
    if below(module, "trainables"):
        assert not names, f"{module} imports {names}: trainables stands alone"
        return
    package = module.removeprefix("orchestrator").removeprefix(".").partition(".")[0]
    if package in WORDS or not package:
        allowed = WORDS
    else:
        assert package in MAY_IMPORT, f"{package} is not in the table of docs/architecture.md"
        allowed = WORDS | MAY_IMPORT[package] | {package}
    for name in names:
        inner = name.removeprefix("orchestrator.")
        assert any(below(inner, permitted) for permitted in allowed), f"{module} imports {name}"


def test_the_table_names_every_package_and_no_other():
    existing = {path.name for path in (ROOT / "orchestrator").iterdir() if path.is_dir()}
    existing |= {path.stem for path in (ROOT / "orchestrator").glob("*.py")}
    existing -= {"__pycache__", "__init__"}
    assert existing == WORDS | MAY_IMPORT.keys()


def test_the_architecture_document_has_the_table_that_is_checked_here():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("## Who may import what")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    table = {}
    for packages, allowed in rows:
        names = {word.strip(" `") for word in allowed.split(",")} - {"nothing more"}
        for package in packages.split(","):
            table[package.strip(" `")] = names
    assert table == MAY_IMPORT


def private_names(path: Path) -> Iterator[str]:
    """Yield private attributes of other objects, and private modules, that a source file uses."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = node.value
            own = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
            own |= isinstance(owner, ast.Call) and getattr(owner.func, "id", "") == "super"
            if not own:
                yield f"line {node.lineno}: {ast.unparse(node)}"
    for name in imports_of(path):
        if name.partition(".")[0] in LIBRARIES and any(map(is_private, name.split("."))):
            yield f"import {name}"


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def uses_a_library(path: Path) -> bool:
    return any(name.partition(".")[0] in LIBRARIES for name in imports_of(path))


@pytest.mark.parametrize("path", [*filter(uses_a_library, SOURCES)], ids=module_of)
def test_private_names_of_ray_and_optuna_stand_in_one_module(path):
    names = [*private_names(path)]
    if module_of(path) == "orchestrator.ray_internals":
        assert names, "the search finds none where there are some"
    else:
        assert names == []


def classes_below_a_library() -> list[type]:
    """Return the project's classes that extend a class of Ray, Tune or Optuna."""
    classes = []
    for package in (orchestrator, trainables):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(info.name)
            for _, kind in inspect.getmembers(module, inspect.isclass):
                is_defined_here = kind.__module__ == info.name
                bases = {base.__module__.partition(".")[0] for base in kind.__mro__[1:]}
                if is_defined_here and bases & set(LIBRARIES):
                    classes.append(kind)
    return classes


def private_names_of_self(kind: type) -> set[str]:
    """Return the private names that the source of a class defines or uses on ``self``."""
    tree = ast.parse(inspect.cleandoc(f"\n{inspect.getsource(kind)}"))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return {name for name in names if is_private(name)}


def test_classes_that_extend_a_library_share_no_private_name_with_it():
    """A private name that both have is used on purpose or overridden by accident."""
    kinds = classes_below_a_library()
    assert {"SeededASHA", "PerCellASHA", "TrialQueue", "Recorder", "Interruption", "Trial"} <= {
        kind.__name__ for kind in kinds
    }
    for kind in kinds:
        for base in kind.__mro__[1:]:
            if base.__module__.partition(".")[0] in LIBRARIES:
                shared = private_names_of_self(kind) & private_names_of_self(base)
                assert not shared, f"{kind.__name__} and {base.__name__} both have {shared}"


def test_no_test_file_imports_another():
    for path in (ROOT / "tests").rglob("test_*.py"):
        for name in imports_of(path):
            assert not any(part.startswith("test_") for part in name.split(".")[:-1]), (path, name)
