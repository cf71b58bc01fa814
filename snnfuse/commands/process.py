"""How the process of a command uses memory and threads; settled before anything heavy is imported."""

import gc
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
KEPT = 1 << 29  # bytes
THREADS = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")


def collect_seldom() -> None:
    """Look for garbage in circles less often: what torch and the compiler make stays, and looking took a tenth of an export."""
    gc.set_threshold(100_000, 50, 50)


def wait_asleep() -> None:
    """Have the threads of numerical libraries, which are loaded later, sleep where they have nothing to do.

    Arrays are small here: OpenBLAS's threads, which cannot be told to sleep, took twice the seconds of all else in choosing integers.
    Whoever says how many there shall be is left alone.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if not any(name in os.environ for name in THREADS):
        os.environ["OPENBLAS_NUM_THREADS"] = "1"


def keep_memory() -> None:
    """Have the C library keep memory that is freed for what is made next, where it can be told so: fresh memory comes page by page, each
    filled with zeros, which took a tenth of an export."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, KEPT)
        mallopt(M_TRIM_THRESHOLD, KEPT)
