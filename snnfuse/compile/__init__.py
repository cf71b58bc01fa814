"""The main job, in Python: a source becomes float graphs, these or its own integers become programs, and they a bundle.

    source = open_source("net.pt")                                  # a checkpoint, a .nir or a .net file; `source_of` for one in memory
    compiled = compile(source, samples, Settings(weight_bits=4), find_target("loihi2"))
    save("bundle", compiled)

Names are loaded on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers, which do not follow __getattr__
    from snnfuse.compile.main_job import compile, save
    from snnfuse.compile.settings import Settings
    from snnfuse.compile.sources import Source, open_source, register_file, register_model, source_of

_HOME = {
    "Settings": "settings",
    "Source": "sources",
    "compile": "main_job",
    "open_source": "sources",
    "register_file": "sources",
    "register_model": "sources",
    "save": "main_job",
    "source_of": "sources",
}

__all__ = ["Settings", "Source", "compile", "open_source", "register_file", "register_model", "save", "source_of"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"snnfuse.compile.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
