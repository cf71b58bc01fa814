"""Write docs/tutorial.ipynb from docs/tutorial.md: the same text and code as a notebook, without outputs.

python tools/tutorial_notebook.py            # writes it
python tools/tutorial_notebook.py --check    # exits 1 where the notebook is another one
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, NOTEBOOK = DOCS / "tutorial.md", DOCS / "tutorial.ipynb"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```\n', re.S | re.M)


def notebook() -> str:
    """The notebook as text; cells are numbered, so that the same page gives the same text."""
    text, cells, end = PAGE.read_text(encoding="utf-8"), [], 0
    for block in BLOCK.finditer(text):
        cells += _words(text[end : block.start()])
        cells.append(new_code_cell(_code(*block.groups())))
        end = block.end()
    cells += _words(text[end:])
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return nbformat.writes(new_notebook(cells=cells, metadata=kernel)) + "\n"


def _words(text: str) -> list[nbformat.NotebookNode]:
    return [new_markdown_cell(text.strip())] if text.strip() else []


def _code(kind: str, title: str | None, text: str) -> str:
    """A file is written by its cell, commands run in the shell; what the page says that they print is left out."""
    if title is not None:
        return f"%%writefile {title}\n{text}".rstrip("\n")
    if kind == "console":
        return "\n".join("!" + line[2:] for line in text.splitlines() if line.startswith("$ "))
    return text.rstrip("\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the notebook is another one")
    if parser.parse_args().check:
        return int(not NOTEBOOK.exists() or NOTEBOOK.read_text(encoding="utf-8") != notebook())
    NOTEBOOK.write_text(notebook(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
