"""Threads that take turns: kept for the life of the process, and asked only where there is enough to do."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from threading import Lock

MOST_THREADS = 256
SMALLEST_SHARE = 1 << 17  # neurons x steps: about 0.1 ms, against 0.02 to 0.05 ms until another thread has begun


@cache
def _others() -> ThreadPoolExecutor:
    """They are started one by one, when none is idle."""
    return ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="snnfuse")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_others.cache_clear)  # a forked process has no threads but the one that forked


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worth(neuron_steps: int, threads: int) -> int:
    """How many of the threads so much work is worth, at least one."""
    return max(1, min(threads, neuron_steps // SMALLEST_SHARE))


def in_turns(work: Callable[[Iterator], bool], items: Iterable, threads: int) -> bool:
    """Call `work` on so many threads, this one among them, with an iterator from which each takes the next item.

    Threads that have not begun when this one finds nothing left are not waited for. An error or an interrupt here ends the others too.

    Returns:
        Whether any call returned True.
    """
    waiting, lock = iter(items), Lock()

    def turns() -> Iterator:
        while True:
            with lock:
                item = next(waiting, None)
            if item is None:
                return
            yield item

    if threads == 1:
        return work(turns())
    others = [_others().submit(work, turns()) for _ in range(min(threads, MOST_THREADS) - 1)]
    try:
        found = work(turns())
    finally:
        waiting = iter(())
        begun = [other for other in others if not other.cancel()]
        wait(begun)
    return any([found, *(other.result() for other in begun)])
