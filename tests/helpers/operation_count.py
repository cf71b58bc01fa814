"""Operations that Python code takes, counted: how they grow is the same on every machine, unlike seconds."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any


def _place(folder: str) -> str:
    """Where a folder of the repository lies as a package, which may have been installed elsewhere."""
    first, *rest = Path(folder).parts
    package = importlib.import_module("snnfuse" if first == "snnfuse" else f"snnfuse.{first}")
    return str(Path(str(package.__file__)).parent.joinpath(*rest))


def count_operations(compute: Callable[[], object], *folders: str) -> int:
    """Count bytecode operations of modules under some folders of the repository.

    Returns:
        How many a call executes when it is repeated, comprehensions included.
    """
    places = tuple(map(_place, folders))
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if event == "call":
            if not frame.f_code.co_filename.startswith(places):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks here for whether opcodes are traced at all
    sys.settrace(trace)
    try:
        compute()  # from Python 3.12 on code is instrumented while it runs for the first time, and not counted whole
        count = 0
        compute()
    finally:
        sys.settrace(before)
    return count
