"""Every `soundings` command in the documents is one that there is, with options that it has."""

import pytest
import typer

from orchestrator.cli.commands import app
from tests.support.documented import DOCUMENTS, blocks, words

COMMANDS = [
    pytest.param(words(line), id=f"{document.name}: {line.partition('#')[0].strip()}")
    for document in DOCUMENTS
    for _, lines in blocks(document)
    for line in lines
    if line.startswith("soundings ")
]


def test_there_are_some():
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_understood(command):
    group = typer.main.get_command(app)
    name, *arguments = command[1:]
    sub = group.commands[name]
    assert sub.make_context(name, arguments).command is sub


def test_one_that_there_is_not_is_not():
    group = typer.main.get_command(app)
    with pytest.raises(Exception, match="No such option: --adress"):
        group.commands["submit"].make_context("submit", ["x.yaml", "--adress", "http://a:1"])
