"""Texts of users reach the terminal as they are."""

from io import StringIO

from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from orchestrator.cli.terminal import say

PARTS = st.sampled_from([":bear:", ":1234:", "[bold]", "[/bold]", "[", "]", "\\[", "1.5", " ", "a"])


@example(":bear: [bold]x[/bold]")
@given(st.lists(PARTS).map("".join))
def test_no_part_of_a_text_is_read_as_markup(text):
    printed = StringIO()
    say(text, Console(file=printed, width=20))
    assert printed.getvalue() == text + "\n"
