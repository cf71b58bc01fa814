"""What is known of a bundle: as JSON, as text, and as one page that opens anywhere. Names are loaded on first use."""

import importlib
from typing import Any

_HOME = {
    "draw_curves": "curves",
    "gather": "contents",
    "picture_of": "contents",
    "pictures_of": "drawing",
    "register_section": "sections",
    "render": "page",
    "summary": "text",
    "verdict": "screen",
    "whole_page": "page",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"snnfuse.report.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
