"""What a process started, and what that started: found through /proc, whatever session or group each of them leads.

A process that calls setsid is in no group of its parent's, and when its parent ends it becomes a child of process 1, unless an ancestor
has asked to be given such orphans (prctl(2), PR_SET_CHILD_SUBREAPER). Systems without /proc or prctl have process groups alone.
"""

import ctypes
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
PROC = Path("/proc")


def adopt_orphans() -> None:
    """Let what the processes below this one leave behind become children of this one."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(process: int) -> set[int]:
    """Return the numbers of all processes below one."""
    children: dict[int, list[int]] = {}
    for stat in PROC.glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):  # it has just ended
            children.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found: set[int] = set()
    waiting = [process]
    while waiting:
        below = [child for child in children.get(waiting.pop(), ()) if child not in found]
        found.update(below)
        waiting += below
    return found


def signal_each(processes: Iterable[int], number: int) -> None:
    """Send a signal to those that are still there."""
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def end_descendants(grace_s: float) -> None:
    """End all processes below this one, first politely, and reap those that are its children."""
    end = time.monotonic() + grace_s
    left = _reaped_descendants()
    signal_each(left, signal.SIGTERM)
    while left and time.monotonic() < end:
        time.sleep(0.01)
        left = _reaped_descendants()
    while left:
        signal_each(left, signal.SIGKILL)
        time.sleep(0.01)
        left = _reaped_descendants()


def end_strays(process: int, grace_s: float) -> None:
    """End what is below a process and in another process group than this one, first politely."""
    strays = {below for below in descendants(process) if _group(below) not in (None, os.getpgrp())}
    signal_each(strays, signal.SIGTERM)
    end = time.monotonic() + grace_s
    while strays and time.monotonic() < end:
        time.sleep(0.01)
        strays = {stray for stray in strays if _group(stray) is not None and stray in descendants(process)}
    signal_each(strays, signal.SIGKILL)


def _group(process: int) -> int | None:
    try:
        return os.getpgid(process)
    except OSError:
        return None


def _reaped_descendants() -> set[int]:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return descendants(os.getpid())
