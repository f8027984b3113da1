from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

import jogg_async
from jogg_async import JoggError, errors

from . import llms

DOCS = llms.DOCS
ERRORS = [value for name in errors.__all__ if issubclass(value := getattr(jogg_async, name), Exception)]


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_the_list_of_pages_is_up_to_date() -> None:
    assert page("llms.txt") == llms.render_page(), "run `python -m tests.site`"


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = {path.name for path in llms.pages()}
    assert listed == {path.name for path in DOCS.iterdir() if path.suffix in {".md", ".ipynb"}} - {"index.md"}


def test_every_page_begins_with_a_whole_sentence() -> None:
    sentences = re.findall(r"^- \[.+\]\(.+?\): (.*)$", page("llms.txt"), re.MULTILINE)
    assert len(sentences) == len(llms.pages())
    assert all(re.fullmatch(r"[A-Z`].*\.", sentence) for sentence in sentences), sentences


def test_the_error_page_has_the_tree_of_the_module() -> None:
    assert errors.__doc__ is not None
    tree = errors.__doc__.partition("::\n\n")[2].partition("\n\nThe service's")[0]
    assert f"```text\n{re.sub('(?m)^    ', '', tree)}\n```" in page("errors.md")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_the_error_page_says_what_each_error_advises(error: type[Exception]) -> None:
    if error is JoggError:
        assert "Every error is a `JoggError`" in page("errors.md")
        return
    (row,) = re.findall(rf"^\| (?:another )?`{error.__name__}` \|.*", page("errors.md"), re.MULTILINE)
    advice = error.advice if issubclass(error, JoggError) else ""
    assert advice in row


def test_the_command_line_page_has_every_command_and_option() -> None:
    pytest.importorskip("cyclopts")
    from jogg_async.cli.app import app

    from .command_line import commands

    sections = {part.partition("\n")[0]: part for part in page("cli.md").split("\n## ")}
    for name in commands():
        assert f"\njogg-async {name} [OPTIONS]" in sections[name]
        for argument in app[name].assemble_argument_collection():
            option = argument.names[0]
            assert option.startswith("*") or f"`{option}" in sections[name] or option in sections[name], (name, option)


def test_the_picture_of_the_terminal_shows_what_the_command_prints() -> None:
    pytest.importorskip("pty")
    pytest.importorskip("rich")
    from .terminal import PICTURE, output

    drawn = html.unescape(re.sub("<[^>]*>", "", PICTURE.read_text(encoding="utf-8"))).replace("\xa0", " ")
    plain = re.sub(r"\x1b\[[0-9;]*m|\x1b\]8;[^\x1b]*\x1b\\", "", output())
    lines = plain.strip("\n").splitlines()
    assert len(lines) == 9
    assert [line for line in lines if line.rstrip() not in drawn] == []


def test_pictures_and_styles_load_nothing_from_elsewhere() -> None:
    for path in [DOCS / "site.css", *Path(DOCS, "images").glob("*.svg")]:
        assert re.findall(r"(?:url\(|href=|@import)[^)>\s]*https?:[^)>\s]*", path.read_text(encoding="utf-8")) == []
