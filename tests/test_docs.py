"""The documentation: built without a warning, and `make docs` ends where a link or the menu is broken."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from browser import DESKTOP, PHONE, look

ROOT = Path(__file__).parents[1]


def make_docs(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `make docs` on a copy, in the environment that runs this test, which counts as installed."""
    command = ["make", "-C", folder, "-o", f"{sys.prefix}/.installed", f"VENV={sys.prefix}", "docs"]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for file in ("mkdocs.yml", "Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / file, tmp_path)
    for folder in ("snnfuse", "export", "hardware"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "source_tree.py", tmp_path / "tools")
    return tmp_path


def test_the_documentation_builds(copy: Path) -> None:
    done = make_docs(copy)
    assert done.returncode == 0 and "site/index.html" in done.stdout, done.stdout + done.stderr
    assert (copy / "site/index.html").exists()


@pytest.mark.slow
def test_pages_can_be_read_by_everybody_and_on_a_phone(copy: Path) -> None:
    done = make_docs(copy)
    assert done.returncode == 0, done.stderr
    site = copy / "site"
    pages = [site / "index.html", *(site / name / "index.html" for name in ("tutorial", "ops", "cli", "api"))]
    for dark in (False, True):
        for view in look(pages, widths=(DESKTOP, PHONE), dark=dark):
            assert (view.loaded, view.violations, view.overflow, view.remote) == (True, [], 0, []), view


def test_what_is_broken_ends_it(copy: Path) -> None:
    with (copy / "docs/index.md").open("a", encoding="utf-8") as page:
        page.write("\n[nowhere](nowhere.md)\n[no such heading](chip.md#nowhere)\n")
    (copy / "docs/in_no_menu.md").write_text("# A page of its own\n", encoding="utf-8")
    done = make_docs(copy)
    assert done.returncode != 0
    for warning in ("'nowhere.md'", "'#nowhere'|'chip.md#nowhere'", "in_no_menu.md"):
        assert re.search(warning, done.stderr), done.stdout + done.stderr


def test_links_of_the_papers_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/ci/README.md"):
        paper = ROOT / name
        links = re.findall(r"\]\((?!https?://|#)([^)#]+)", paper.read_text(encoding="utf-8"))
        assert [link for link in links if not (paper.parent / link).exists()] == [], name


def test_paths_that_the_papers_name_are_there() -> None:
    """A folder or a module in backticks, as in `hardware/ir/lif.py`."""
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        paths = re.findall(r"`((?:snnfuse|export|hardware|tests|docs|tools|examples|benchmarks)/[\w/.]*)`", text)
        assert paths and [path for path in paths if not (ROOT / path).exists()] == [], name


def test_the_citation_names_this_version() -> None:
    project = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)[0]
    (cited,) = re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited == project
    assert f"\n## {project}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
