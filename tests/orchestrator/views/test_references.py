"""Checks that tables, report and documents name all references of the list and no others."""

import ast
import re
from pathlib import Path

import pytest

from orchestrator.views.references import REFERENCES, citation, citations

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs/references.md"
TABLES = ROOT / "orchestrator/views/tables"
KEYS = [reference.key for reference in REFERENCES]


def keys_of_tables():
    """Return the keys in the calls of ``Table``, by name of the table."""
    keys = {}
    for path in TABLES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Table":
                options = {option.arg: option.value for option in node.keywords}
                if "references" in options:
                    name = ast.literal_eval(options["name"])
                    keys[name] = ast.literal_eval(options["references"])
    return keys


def texts():
    """Return every document and every module except the list, each on one line."""
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    modules = [path for folder in ("orchestrator", "trainables") for path in _modules(folder)]
    own = {DOCUMENT, ROOT / "orchestrator/views/references.py"}
    return [" ".join(path.read_text().split()) for path in {*documents, *modules} - own]


def _modules(folder):
    return (ROOT / folder).rglob("*.py")


def test_keys_and_names_of_references_are_unique():
    assert len(set(KEYS)) == len(KEYS)
    assert len({reference.name for reference in REFERENCES}) == len(KEYS)


def test_every_reference_key_of_a_table_exists():
    tables = keys_of_tables()
    assert len(tables) > 15
    for name, keys in tables.items():
        assert set(keys) <= set(KEYS), name
        assert len(set(keys)) == len(keys) > 0, name


def test_every_reference_is_used_by_a_table_or_named_in_a_text():
    used = {key for keys in keys_of_tables().values() for key in keys}
    everything = "\n".join(texts())
    for reference in REFERENCES:
        named = re.search(rf"(?<!\w){re.escape(reference.name)}(?!\w)", everything, re.IGNORECASE)
        assert reference.key in used or named, reference.key


def test_the_document_has_every_citation_in_order():
    lines = DOCUMENT.read_text().splitlines()
    entries = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    assert entries == [citation(key) for key in KEYS]


def test_every_link_is_https_and_every_citation_is_one_line():
    for reference in REFERENCES:
        assert not reference.link or re.fullmatch(r"https://\S+", reference.link), reference.key
        assert reference.authors and reference.title and reference.published, reference.key
        assert "\n" not in citation(reference.key)
        assert citation(reference.key).endswith(reference.link or ".")


def test_citations_are_in_the_order_of_the_list_and_each_occurs_once():
    assert citations(["welch", "capacity", "welch"]) == [citation("capacity"), citation("welch")]
    assert citations([]) == []
    with pytest.raises(KeyError, match="nobody"):
        citations(["capacity", "nobody"])
