"""The pages of the documentation do as they say: their code runs, their commands exist, their figures stand in one list."""

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import nbformat
import pages
import proven
import pytest
from nbclient import NotebookClient

from snnfuse import cli

ROOT = Path(__file__).parents[1]
PAPERS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = [path for path in PAPERS if any(block.kind in ("python", "console") for block in pages.blocks(path))]
LONG = {"tutorial.md", "own_data.md"}


def commands(paper: Path) -> list[list[str]]:
    """The words of every command that a paper prints, without what is only said of it."""
    text = re.sub(r"\\\n\s*", "", paper.read_text(encoding="utf-8"))
    lines = re.findall(r"^(?:    |\$ |sensor \| )((?:snnfuse|snnfuse-export) .*)$", text, re.M)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("page", [pytest.param(p, marks=[pytest.mark.slow] if p.name in LONG else [], id=p.name) for p in RUN])
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, lava: None) -> None:
    assert pages.run_page(page, tmp_path) > 0


@pytest.mark.parametrize("paper", [pytest.param(p, id=p.name) for p in PAPERS if commands(p)])
def test_every_command_is_one_that_the_command_line_takes(paper: Path) -> None:
    for name, *words in commands(paper):
        if any("[" in word for word in words):
            continue  # a pattern, no command
        command: click.Command = cli.snnfuse if name == "snnfuse" else cli.load_command("export")
        if name == "snnfuse" and not words[0].startswith("-"):
            assert words[0] in cli.COMMANDS, words
            command, words = cli.load_command(words[0]), words[1:]
        command.make_context(name, words, resilient_parsing=any(word in ("--help", "--version") for word in words))


def test_every_program_that_a_paper_names_is_there() -> None:
    for paper in PAPERS:
        text = paper.read_text(encoding="utf-8")
        assert [name for name in re.findall(r"python -m (benchmarks\.\w+)", text) if find_spec(name) is None] == [], paper.name
        assert [path for path in re.findall(r"\b(tests/[\w/]+\.py)", text) if not (ROOT / path).exists()] == [], paper.name


def test_code_that_does_not_do_as_its_page_says_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for text in ("```python\nassert False\n```\n", "```console\n$ false\n```\n", "```console\n$ echo two words 3\ntwo word 3\n```\n"):
        page.write_text(text, encoding="utf-8")
        with pytest.raises(AssertionError):
            pages.run_page(page, tmp_path)
    page.write_text("```console\n$ printf 'a 1.5\\nb\\nc -2\\n'\na 2\n...\nc 3\n```\n", encoding="utf-8")
    assert pages.run_page(page, tmp_path) == 1


@pytest.mark.parametrize("tool", ["proven.py", "tutorial_notebook.py"])
def test_what_is_generated_is_up_to_date(tool: str) -> None:
    done = subprocess.run([sys.executable, ROOT / "tools" / tool, "--check"])
    assert done.returncode == 0, f"run: python tools/{tool}"


def test_the_readme_quotes_what_the_list_says() -> None:
    rows = {row["key"]: row["figure"] for section in proven.read() for row in section["rows"]}
    quotes = re.findall(r"^- (.*) <!-- ([\w-]+) -->$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    assert len(quotes) >= 5
    for line, key in quotes:
        figures = re.findall(r"\d[\d,.]*\d", line.partition(":")[2])
        assert figures and [figure for figure in figures if figure not in rows[key]] == [], key


def test_the_readme_is_for_a_newcomer() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 900


@pytest.mark.slow
def test_the_tutorial_runs_as_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lava: None) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # as an activated environment has it
    notebook = nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = " ".join(str(cell.get("outputs")) for cell in notebook.cells)
    assert "PASSED" in printed and "3 passed" in printed
