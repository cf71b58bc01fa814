"""The kernel, compiled or taken from numba's cache on disk.

numba keeps compiled code beside this module, in the user's cache folder where that cannot be written, or in $NUMBA_CACHE_DIR. It looks at
one file only to see whether its copy is stale; the fingerprint makes it look at all files that the kernel is made of.
"""

import hashlib
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

from snnfuse.hardware.backends.emulator.kernel import build_run

SOURCES = ("fields.py", "vectors.py", "intrinsics.py", "neurons.py", "delivery.py", "inputs.py", "kernel.py")
logger = logging.getLogger("snnfuse")


def fingerprint() -> str:
    """Hash of every file that the kernel is made of."""
    folder = Path(__file__).parent
    files = [*(folder / name for name in SOURCES), folder.parents[1] / "ir" / "fixed_point.py"]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def built() -> Callable:
    """The kernel, not compiled yet; one that is compiled in every process where its code can be kept nowhere."""
    try:
        return build_run(fingerprint())
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        _say("no folder for compiled code can be written, so every process compiles the emulator's kernel; set NUMBA_CACHE_DIR to one")
        return build_run(fingerprint(), keep=False)


def ready_kernel() -> Callable:
    """The kernel; its first call says that it compiles, where it does."""
    run = built()
    ready = False

    def call(*args):
        nonlocal ready
        if ready:
            return run(*args)
        result = _announced(run, args)
        ready = True
        return result

    return call


def _announced(run: Callable, args: tuple):
    start = time.perf_counter()
    if not _is_cached(run):
        _say("compiling the emulator's kernel, which takes about ten seconds ...")
    result = run(*args)
    logger.info("emulator kernel ready after %.1f s", time.perf_counter() - start)
    return result


def _is_cached(run: Callable) -> bool:
    """Whether an earlier process left compiled code; numba's own index decides whether it still fits."""
    try:
        return Path(run._cache._cache_file._index_path).exists()
    except AttributeError:
        return False


def _say(text: str) -> None:
    logger.info(text)
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"snnfuse: {text}", file=sys.stderr)
