"""A run of Lava that ends: its own run() waits for ever for a process that has failed, and stop() can hang after one. Imports
Lava.
"""

import gc
import time
from typing import Any

from snnfuse.hardware.backends.lava import stock
from snnfuse.hardware.backends.lava.child import LavaFailed

POLL_S = 0.01  # for the end of the run
CHECK_S = 0.1  # for failures: asks every process, which is many system calls
LAST_WORDS_S = 1.0  # for the exception of a process to arrive once others have ended


def run_to_end(process: stock.AbstractProcess, steps: int, config: stock.Loihi2SimCfg) -> None:
    """Compile everything connected to a process, run it for `steps` time steps, and take it down again.

    Raises:
        LavaFailed: one of its processes did.
    """
    try:
        gc.freeze()  # Lava forks: a process that looked for garbage in what was there before would copy all of its memory
        process.create_runtime(run_cfg=config)
        runtime = process.runtime
        runtime.start(stock.RunSteps(steps, blocking=False))
        checked = time.monotonic()
        while not all(port.probe() for port in runtime.service_to_runtime):
            if time.monotonic() - checked > CHECK_S:
                _check(runtime)
                checked = time.monotonic()
            time.sleep(POLL_S)
        _wait(runtime)
    finally:
        _take_down(process.runtime)


def _wait(runtime: Any) -> None:
    """Lava answers a failure in its last step with a word about output above; the exception itself says more."""
    try:
        runtime.wait()
    except RuntimeError:
        _check(runtime)
        raise


def _check(runtime: Any) -> None:
    """Raise LavaFailed if a process has; one that ended without a word had perhaps just heard of another's failure."""
    actors = runtime._messaging_infrastructure.actors
    dead = [actor for actor in actors if not actor._is_done and not actor.is_alive()]
    end = time.monotonic() + (LAST_WORDS_S if dead else 0)
    while not (failed := [actor for actor in actors if actor.exception]) and time.monotonic() < end:
        time.sleep(POLL_S)
    if failed:
        raise LavaFailed(failed[0].exception[1])
    if dead:
        raise LavaFailed(f"a process of Lava's died, exit code {dead[0].exitcode}")


def _take_down(runtime: Any) -> None:
    """Kill what runs, and give back the shared memory."""
    infrastructure = runtime and runtime._messaging_infrastructure
    if not infrastructure:
        return
    for actor in infrastructure.actors:
        if not actor._is_done and actor.is_alive():
            actor.kill()
    for actor in infrastructure.actors:
        actor.join()
    runtime._is_running = runtime._is_started = False  # so that Runtime.__del__ does not call stop()
    for port in runtime._open_ports:
        port.join()
    runtime._open_ports.clear()
    if infrastructure.smm is not None:
        infrastructure.smm.shutdown()
    if runtime._watchdog_manager is not None:
        runtime._watchdog_manager.stop()
