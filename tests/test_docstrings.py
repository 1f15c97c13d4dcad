"""The first line of every public docstring is a sentence that is understood without the rest."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FOLDERS = ("orchestrator", "trainables", "benchmarks", "tests/support")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
# Words that lean on something outside of the docstring.
LEANING = ("Of", "What", "Whether", "As", "By", "How", "Where", "Which", "Those", "That", "It")
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(path: Path) -> Iterator[tuple[str, Documented, str | None]]:
    """Yield name, node and docstring of a module and of its public classes and functions."""

    def inside(node: ast.AST, prefix: str) -> Iterator[tuple[str, Documented, str | None]]:
        for child in ast.iter_child_nodes(node):
            kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            if isinstance(child, kinds) and not child.name.startswith("_"):
                name = f"{prefix}{child.name}"
                yield name, child, ast.get_docstring(child)
                if isinstance(child, ast.ClassDef):
                    yield from inside(child, f"{name}.")

    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield "the module", tree, ast.get_docstring(tree)
    yield from inside(tree, "")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_docstrings_begin_with_a_sentence_that_stands_alone(path):
    for name, _, text in docstrings(path):
        if text is None:
            continue
        sentence = text.partition("\n\n")[0]
        first = sentence.split()[0].strip("'`\"")
        where = f"{path.relative_to(ROOT)}: {name}: {sentence!r}"
        assert first not in LEANING, where
        assert first[0].isupper() or not first[0].isalpha() or "`" in sentence.split()[0], where
        assert sentence.rstrip().endswith((".", ":", "?", ")", "`")), where
        assert len(sentence.split()) >= 3, where


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if path.relative_to(ROOT).parts[0] in ("orchestrator", "trainables")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_module_class_and_function_of_a_module_has_a_docstring(path):
    for name, _, text in docstrings(path):
        # Methods that override documented ones go without; packages with an empty file do, too.
        if "." not in name and path.read_text(encoding="utf-8").strip():
            assert text, f"{path.relative_to(ROOT)}: {name} has no docstring"
