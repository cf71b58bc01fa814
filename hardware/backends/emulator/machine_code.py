"""Machine code: made by numba on the first use, kept on disk as an object file, and loaded from there without numba.

To import numba and to set it up took half a second, which is more than most runs. LLVM alone loads an object file, and ctypes calls it.

Code is kept beside this module, in the user's cache folder where that cannot be written, or in $NUMBA_CACHE_DIR, a file for each function:
a line of JSON, then the object file. The file's name tells apart all that the code depends on; what does not match its hash is made again.
"""

import contextlib
import hashlib
import json
import logging
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from snnfuse.hardware.backends.emulator.debugging import BOUNDS_CHECKED

HERE = Path(__file__).parent
SOURCES = (
    "compilation.py", "debugging.py", "delivery.py", "entry_points.py", "inputs.py", "kernel.py", "machine_code.py", "neuron_form.py",
    "records.py", "vectors.py",
)  # fmt: skip
SUFFIX, DIGITS = ".code", 20
FOLDER = "snnfuse"  # in a folder that others use too
SETTINGS = "NUMBA_"  # how variables of the environment begin that numba compiles by
logger = logging.getLogger("snnfuse")
_lock = threading.RLock()
_engines: list[Any] = []  # code is loaded as long as these are


@dataclass(frozen=True, eq=False)
class Compiled:
    """What numba makes of a function.

    Attributes:
        symbol: its name in the object file.
        object_file: its code.
    """

    symbol: str
    object_file: bytes

    @property
    def uses_numba(self) -> bool:
        """Whether it calls functions of numba's own, as an update from outside does that makes arrays."""
        return b"NRT_" in self.object_file or b"numba_" in self.object_file


def code_address(name: str, depends: str, what: str, make: Callable[[], Compiled]) -> int:
    """Where a function's code begins, which is loaded, or made and kept.

    It is called by numba's own convention, status f(result *, exception **, arguments ...), in which a status of 0 is success.

    Args:
        name: its own, letters that a file's name may hold.
        depends: what it is made of beside this package.
        what: its name for the line that says that it is compiled.
        make: compiles it.
    """
    with _lock:
        digest, folder = hashlib.sha256((fingerprint() + depends).encode()).hexdigest(), cache_folder()
        file = None if folder is None else folder / f"{name}-{digest[:DIGITS]}{SUFFIX}"
        compiled = None if file is None else _read(file, what)
        if compiled is None:
            say(f"compiling {what}, which takes a few seconds ...")
            start = time.perf_counter()
            compiled = make()
            logger.info("%s ready after %.1f s", what, time.perf_counter() - start)
            if file is None:
                say("no folder for compiled code can be written, so every process compiles the emulator; set NUMBA_CACHE_DIR to one")
            else:
                _write(file, compiled, what)
        return _loaded(compiled)


def say(text: str) -> None:
    """Tell the log, and somebody who waits at a terminal."""
    logger.info(text)
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"snnfuse: {text}", file=sys.stderr)


@cache
def fingerprint() -> str:
    """Hash of every file that compiled code is made of, of how it is compiled, and for which processor."""
    import llvmlite.binding as llvm

    files = [*(HERE / name for name in SOURCES), *sorted((HERE.parents[1] / "ir").glob("*.py"))]
    versions = [f"{package} {version(package)}" for package in ("numba", "llvmlite")]
    machine = [
        platform.machine(),
        sys.platform,
        sys.implementation.cache_tag,
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    ]
    settings = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith(SETTINGS) and name != "NUMBA_CACHE_DIR")
    parts = [repr((versions, machine, settings, BOUNDS_CHECKED)).encode(), *(file.read_bytes() for file in files)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def cache_folder() -> Path | None:
    """The first folder that can be written, made where it is missing; None for none."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    places = [Path(chosen) / FOLDER] if chosen else [HERE / "__pycache__", *_of_user()]
    for place in places:
        with contextlib.suppress(OSError):
            place.mkdir(parents=True, exist_ok=True)
            if os.access(place, os.W_OK | os.X_OK):
                return place
    return None


def _of_user() -> list[Path]:
    """The user's cache folder, where there is a home."""
    local = os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError):
        return [(Path(local) if local else Path.home() / ".cache") / FOLDER]
    return []


def _read(file: Path, what: str) -> Compiled | None:
    """The code of an earlier process, or None where there is none that can be used."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        say(f"discarding compiled code of {what} in {file}, which cannot be read ({type(error).__name__})")
        return None
    line, _, object_file = content.partition(b"\n")
    try:
        about = json.loads(line)
        if about["sha256"] == hashlib.sha256(object_file).hexdigest():
            return Compiled(about["symbol"], object_file)
        reason = "it was not written whole"
    except (ValueError, TypeError, KeyError) as error:
        reason = type(error).__name__
    say(f"discarding compiled code of {what} in {file}, which cannot be read ({reason})")
    return None


def _write(file: Path, compiled: Compiled, what: str) -> None:
    """Keep code for the next process, whole or not at all, where that can be done."""
    about = {"symbol": compiled.symbol, "sha256": hashlib.sha256(compiled.object_file).hexdigest()}
    try:
        handle, unfinished = tempfile.mkstemp(prefix=file.stem, dir=file.parent)
        try:
            with open(handle, "wb") as stream:
                stream.write(json.dumps(about).encode() + b"\n" + compiled.object_file)
            os.replace(unfinished, file)
        except BaseException:
            os.unlink(unfinished)
            raise
    except OSError as error:
        logger.info("compiled code of %s is not kept in %s: %s", what, file.parent, error)


@cache
def _target() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(llvm.get_process_triple())


def _loaded(compiled: Compiled) -> int:
    import llvmlite.binding as llvm

    if compiled.uses_numba:
        from numba.core.registry import cpu_target

        context: Any = cpu_target.target_context
        context.refresh()  # tells LLVM where these are, and what they need
    target = _target()  # first, for it makes LLVM ready
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target.create_target_machine(jit=True))
    engine.add_object_file(llvm.ObjectFileRef.from_data(compiled.object_file))
    engine.finalize_object()
    _engines.append(engine)
    return engine.get_function_address(compiled.symbol)
