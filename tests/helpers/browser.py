"""Pages in headless Chromium, the one that Qt brings along: `make browser` installs it.

[view] = look([page], widths=(390,), dark=True)
assert not view.violations  # axe's
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

VIEWS = Path(__file__).with_name("browser_views.py")
SECONDS = 300  # of all pages
PROBE = "import axe_playwright_python; from PyQt6 import QtWebEngineWidgets"
DESKTOP, PHONE = 1200, 390


@dataclass(frozen=True)
class View:
    """A page in a window.

    Attributes:
        page: its file.
        width: of the window, CSS pixels.
        dark: which colour scheme it was asked for.
        loaded: whether it was.
        violations: what axe finds, a line each: rule, its words, and where.
        console: every message of the page's.
        requests: URLs of everything else that it asked for; what is not a local file was refused.
        overflow: pixels that one would have to scroll sideways.
        broken: words of headings that stand on more than one line.
        focusable: names of what the keyboard should reach, in the order of the page.
        focus: names of what Tab reaches, in turn, each with whether an outline shows it.
        printed: pages of paper; None where it was not asked for.
    """

    page: str
    width: int
    dark: bool
    loaded: bool
    violations: list[str]
    console: list[str]
    requests: list[str]
    overflow: int
    broken: list[str]
    focusable: list[str]
    focus: list[tuple[str, bool]]
    printed: int | None = None

    @property
    def remote(self) -> list[str]:
        """Requests of the network."""
        return [request for request in self.requests if not request.startswith("file:")]


@cache
def missing() -> str:
    """Why no browser runs here; empty where one does."""
    ended = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=120)
    return "" if ended.returncode == 0 else ended.stderr.strip().splitlines()[-1]


def look(
    pages: Sequence[Path],
    widths: Sequence[int] = (DESKTOP,),
    dark: bool = False,
    printing: bool = False,
    pictures: Path | None = None,
) -> list[View]:
    """Views of every page in every width; the test is skipped where there is no browser.

    pictures: a folder for a PNG of each, named PAGE-WIDTH-SCHEME.png.
    """
    if why := missing():
        pytest.skip(f"no browser, make browser installs one: {why}")
    asked = {"pages": [str(p) for p in pages], "widths": list(widths), "dark": dark, "print": printing,
             "pictures": pictures and str(pictures)}  # fmt: skip
    ended = subprocess.run([sys.executable, str(VIEWS)], input=json.dumps(asked), capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 0, ended.stderr[-2000:]
    views = json.loads(ended.stdout.splitlines()[-1])
    return [View(**view | {"focus": [(name, seen) for name, seen in view["focus"]]}) for view in views]
