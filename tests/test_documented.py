"""Every `soundings` command in the documents exists and has the options that they give it."""

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


def test_the_documents_contain_soundings_commands():
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("command", COMMANDS)
def test_a_documented_command_is_understood_by_the_command_line(command):
    group = typer.main.get_command(app)
    name, *arguments = command[1:]
    sub = group.commands[name]
    assert sub.make_context(name, arguments).command is sub


def test_an_option_that_does_not_exist_is_not_understood():
    group = typer.main.get_command(app)
    with pytest.raises(Exception, match="No such option: --adress"):
        group.commands["submit"].make_context("submit", ["x.yaml", "--adress", "http://a:1"])
