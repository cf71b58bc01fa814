"""Machine code: made by numba on the first use, kept on disk, and made again where what is on disk cannot be read.

numba keeps code beside the module, in the user's cache folder where that cannot be written, or in $NUMBA_CACHE_DIR. It looks at one file
only to see whether its copy is stale; a fingerprint makes it look at all that is compiled.
"""

import contextlib
import hashlib
import logging
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

from numba import jit, types
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc

from snnfuse.hardware.backends.emulator.debugging import BOUNDS_CHECKED, raising
from snnfuse.hardware.backends.emulator.kernel import run

HERE = Path(__file__).parent
SOURCES = ("debugging.py", "delivery.py", "entry_points.py", "inputs.py", "kernel.py", "neuron_form.py", "records.py", "vectors.py")
OPTIONS: dict[str, Any] = {"error_model": "numpy", "boundscheck": BOUNDS_CHECKED}
logger = logging.getLogger("snnfuse")


class CodeOnDisk(FunctionCache):
    """numba's cache of one function, which a broken, full or locked folder does not stop.

    Args:
        function: what is compiled.
        fingerprint: of everything else that goes into its code.
        what: its name, for the line that says that it is compiled.
    """

    def __init__(self, function: Callable, fingerprint: str, what: str) -> None:
        super().__init__(function)
        self._fingerprint, self._what, self._start = fingerprint, what, 0.0

    def _index_key(self, sig: Any, codegen: Any) -> tuple:
        return (*super()._index_key(sig, codegen), self._fingerprint)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The code of an earlier process, or None where there is none that can be used."""
        try:
            found = super().load_overload(sig, target_context)
        except Exception as error:  # whatever unpickling a broken file raises, EOFError among it
            say(f"discarding compiled code of {self._what} in {self.cache_path}, which cannot be read ({type(error).__name__})")
            found = None
            self._discard()
        if found is None:
            say(f"compiling {self._what}, which takes a few seconds ...")
            self._start = time.perf_counter()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep code for the next process, where that can be done."""
        logger.info("%s ready after %.1f s", self._what, time.perf_counter() - self._start)
        try:
            super().save_overload(sig, data)
        except Exception as error:  # an index that is broken, or a folder that is full or may not be written
            self._discard()
            logger.info("compiled code of %s is not kept in %s: %s", self._what, self.cache_path, error)

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            self.flush()


def say(text: str) -> None:
    """Tell the log, and somebody who waits at a terminal."""
    logger.info(text)
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"snnfuse: {text}", file=sys.stderr)


def keep_on_disk(compiled: Any, function: Callable, fingerprint: str, what: str) -> None:
    """Give a compiled function its place on disk, where there is one."""
    try:
        compiled._cache = CodeOnDisk(function, fingerprint, what)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        say("no folder for compiled code can be written, so every process compiles the emulator; set NUMBA_CACHE_DIR to one")


@cache
def fingerprint() -> str:
    """Hash of every file that the kernel is made of, and of how it is compiled."""
    files = [*(HERE / name for name in SOURCES), *(HERE.parents[1] / "ir").glob("*.py")]
    return hashlib.sha256(b"\0".join([repr(OPTIONS).encode(), *(file.read_bytes() for file in files)])).hexdigest()


def told_apart(function: Callable, digest: str) -> FunctionType:
    """A copy of a function under a name that says what it was made with.

    numba names machine code after a function and counts functions of the same name in a process. Two of them that different processes
    compiled and kept would have the same name and number, and a process that loads both would run one in place of the other.
    """
    copy = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    copy.__module__, copy.__qualname__ = function.__module__, f"{function.__qualname__}.{digest[:16]}"
    return copy


def c_function(entry: Callable, name: str, known: dict[str, Any], arguments: tuple, more: str, what: str) -> CFunc:
    """A function of C types, compiled or loaded.

    Args:
        entry: what is compiled; it may be the same for several, with other meanings of its names.
        name: its own, under which it is kept.
        known: meanings of the names that it uses.
        arguments: their types.
        more: what its fingerprint must cover beside this package.
        what: its name for the line that says that it is compiled.
    """
    digest = hashlib.sha256((fingerprint() + more).encode()).hexdigest()
    function = FunctionType(entry.__code__, known, "entry")
    function.__module__, function.__qualname__ = __name__, name.replace(" ", "_")
    compiled = CFunc(told_apart(function, digest), (arguments, types.void), locals={}, options=OPTIONS)
    keep_on_disk(compiled, function, digest, what)
    compiled.compile()
    return compiled


@cache
def kernel() -> Callable:
    """The kernel, compiled or loaded on its first call."""
    options: dict[str, Any] = {**OPTIONS, "nogil": True, "_nrt": False, "no_cfunc_wrapper": True}
    compiled: Any = jit(**options)(run)
    keep_on_disk(compiled, run, fingerprint(), "the emulator's kernel")
    return raising(compiled) if BOUNDS_CHECKED else compiled
