"""The page in a real browser: accessible, on a phone, on paper, by keyboard, in light and dark, and asking nobody for anything."""

from pathlib import Path

import pytest
from browser import DESKTOP, PHONE, look
from cli_calls import Cli
from l2_networks import Averaged, made, samples

from snnfuse.commands.console import Console
from snnfuse.commands.verify import run_checks
from snnfuse.compile import compile, save, source_of
from snnfuse.report import gather, picture_of, pictures_of, render

LARGEST = 5 << 20  # bytes


@pytest.fixture
def pages(snn: Cli, graph: Path, calib: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A bundle's own page, one with everything, and one of stages with a warning."""
    monkeypatch.delenv("SNNFUSE_PICTURES")
    assert snn("export", graph, "--target", "loihi2", "--calib", calib, "-o", "b").code == 0
    run_checks(Path("b"), None, Console(quiet=True))
    assert snn("report", "b", "-o", "whole.html").code == 0
    staged = save("s", compile(source_of(made(Averaged())), samples()))
    content = gather(staged)
    content["stages"][0]["warnings"] = ["a layer with a name_that_is_far_too_long_for_a_phone." + "x" * 60]
    (tmp_path / "staged.html").write_text(render(content, picture_of(staged), pictures_of(staged, content)))
    return [Path("b/report.html").resolve(), tmp_path / "whole.html", tmp_path / "staged.html"]


def test_the_page_is_whole_in_a_browser(pages: list[Path], tmp_path: Path) -> None:
    assert "yes: PASSED on" in pages[1].read_text() and all(page.stat().st_size < LARGEST for page in pages)
    for dark in (False, True):
        for view in look(pages, (PHONE, DESKTOP), dark, printing=not dark, pictures=tmp_path):
            assert view.loaded and view.violations == [], view
            assert view.console == view.requests == [], view
            assert view.overflow == 0 and view.broken == [], view
            assert view.focus == [(name, True) for name in view.focusable] and len(view.focus) > 8, view
            assert dark or view.printed
