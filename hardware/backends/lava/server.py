"""What runs in the child: `python -m snnfuse.hardware.backends.lava.server MODULE SECONDS`, which waits so long for a job.

A job is a line of JSON on standard input, its exit code a line on standard output. While a job runs, the job watches standard input;
this process reads it between two jobs only. No thread runs here, so that forking is safe.
"""

import importlib
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from snnfuse.hardware.backends.lava.child import ERROR, GRACE_S, OUTPUT, LavaFailed
from snnfuse.hardware.backends.lava.compat import why_not_importable
from snnfuse.hardware.backends.lava.descendants import adopt_orphans, end_descendants, end_strays
from snnfuse.hardware.errors import SnnfuseError

JOBS, PRINTED = 0, (1, 2)  # file descriptors


def serve(name: str, seconds: float) -> None:
    """Run jobs of a module until none comes for so long, the parent is gone, or the module cannot be imported."""
    replies = os.dup(1)
    module = None
    adopt_orphans()
    while (job := _next_job(seconds)) is not None:
        _print_to(Path(job["folder"]) / OUTPUT)
        try:
            module = module or _prepared(name)
        except BaseException as problem:
            report(Path(job["folder"]), problem)
            _flush()
            os._exit(1)
        child = os.fork()
        if not child:
            os.close(replies)
            _run(module, job)
        _, status = os.waitpid(child, 0)
        os.write(replies, b"%d\n" % os.waitstatus_to_exitcode(status))
        end_descendants(GRACE_S)  # what the job left behind, in sessions of its own too


def _next_job(seconds: float) -> dict[str, Any] | None:
    ready, _, _ = select.select([JOBS], [], [], seconds)
    line = sys.stdin.readline() if ready else ""
    return json.loads(line) if line.endswith("\n") else None


def _print_to(path: Path) -> None:
    """What is printed from now on goes to a job's file; to nobody if the folder is gone, and the parent with it."""
    _flush()
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except FileNotFoundError:
        file = os.open(os.devnull, os.O_WRONLY)
    for descriptor in PRINTED:
        os.dup2(file, descriptor)
    os.close(file)


def _prepared(name: str) -> ModuleType:
    module = importlib.import_module(name)
    module.prepare()
    return module


def _run(module: ModuleType, job: dict[str, Any]) -> NoReturn:
    """In the forked process: do the work in the folder, with the parent's environment of now, and end."""
    folder = Path(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    tempfile.tempdir = None  # asked for again
    watch_parent(folder)
    status = 0
    try:
        module.main(folder)
    except BaseException as problem:
        report(folder, problem)
        status = 1
    _flush()
    os._exit(status)  # past Lava's own clean-up at exit, which can hang; run_to_end has done it


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def report(folder: Path, error: BaseException) -> None:
    """One line for the parent, the traceback for whoever looks at the output."""
    traceback.print_exception(error)
    if isinstance(error, ImportError):
        (folder / ERROR).write_text(why_not_importable(error))
        return
    lines = str(error).strip().splitlines() or [""]
    speaks = isinstance(error, (SnnfuseError, LavaFailed))
    (folder / ERROR).write_text(lines[-1] if speaks else f"{type(error).__name__}: {lines[-1]}")


def watch_parent(folder: Path) -> None:
    """In a job: when the parent is gone, remove the folder and end this process group."""
    threading.Thread(target=_wait_for_parent, args=(folder,), daemon=True).start()


def _wait_for_parent(folder: Path) -> None:
    while os.read(JOBS, 1):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    end_strays(os.getppid(), GRACE_S)
    os.killpg(os.getpgrp(), signal.SIGTERM)


if __name__ == "__main__":
    serve(sys.argv[1], float(sys.argv[2]))
    os._exit(0)  # Lava is imported here too
