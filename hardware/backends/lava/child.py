"""Run a module of this package in a process of its own, in a folder of its own, and leave nothing of either behind.

The child leads a session, so that it and whatever it forks can be ended together. Its standard input is a pipe that nobody writes
to: when the parent dies, however it dies, the pipe closes, and the child ends itself (`watch_parent`). All temporary files go
into the folder. Shared memory is given back by the resource tracker of the child's multiprocessing, which ignores SIGTERM and
cleans up once the others are gone.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from snnfuse.hardware.errors import EnvironmentProblem

OUTPUT = "output.txt"  # what the child and its children print
ERROR = "error.txt"  # what went wrong, written by the child
GRACE_S = 5.0  # for the resource tracker
SOCKET_FOLDER_CHARACTERS = 72  # multiprocessing adds up to 32 for a socket, whose path may have 107


class LavaFailed(Exception):
    """In the child: a Lava process raised or died; the message is its traceback."""


@contextmanager
def job_folder() -> Iterator[Path]:
    """A temporary folder, gone afterwards; EnvironmentProblem where none can be made."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="snnfuse-lava-"))
    except OSError as error:
        raise EnvironmentProblem(f"cannot make a temporary folder for Lava: {error}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_module(module: str, folder: Path, timeout: float, what: str) -> None:
    """Run `python -m module folder` to its end.

    Args:
        module: its main(folder) writes its results into the folder, or one line into error.txt.
        folder: where it works.
        timeout: seconds that it may take.
        what: what it does, for messages.

    Raises:
        EnvironmentProblem: it failed, or did not end in time.
    """
    with open(folder / OUTPUT, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", module, str(folder)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder.anchor,  # not the folder: it may be gone before the resource tracker has started
            env=_environment(folder),
            start_new_session=True,
        )
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise EnvironmentProblem(
            f"{what} did not end within its time limit of {timeout:g} s; "
            f"raise it with --timeout {max(10.0, 2 * timeout):g} (in Python: timeout={max(10.0, 2 * timeout):g})"
        ) from None
    finally:
        _end(process)
    if code:
        raise EnvironmentProblem(f"{what} failed: {_reason(folder, code)}")


def _environment(folder: Path) -> dict[str, str]:
    """The parent's import path, the folder for temporary files, and one thread per process, for Lava has many processes."""
    paths = os.pathsep.join(dict.fromkeys(os.path.abspath(path) for path in sys.path))
    temporary = str(folder) if len(str(folder)) <= SOCKET_FOLDER_CHARACTERS else "/tmp"
    return {**os.environ, "PYTHONPATH": paths, "TMPDIR": temporary, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _end(process: subprocess.Popen) -> None:
    """End the child and all that it started."""
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        process.wait()
    process.stdin.close()
    if process.returncode:
        _signal_group(process.pid, signal.SIGTERM)
        _wait_for_group(process.pid)
        _signal_group(process.pid, signal.SIGKILL)


def _signal_group(group: int, number: int) -> bool:
    """Whether there was anyone to signal."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _wait_for_group(group: int) -> None:
    end = time.monotonic() + GRACE_S
    while time.monotonic() < end and _signal_group(group, 0):
        time.sleep(0.02)


def _reason(folder: Path, code: int) -> str:
    """The child's own word, otherwise the last line that it printed."""
    for name in (ERROR, OUTPUT):
        with suppress(OSError):
            lines = [line for line in (folder / name).read_text(errors="replace").splitlines() if line.strip()]
            if lines:
                return lines[-1].strip()
    return f"exit code {code}"


def watch_parent(folder: Path) -> None:
    """In the child: when the parent is gone, remove the folder and end this process group."""
    threading.Thread(target=_wait_for_parent, args=(folder,), daemon=True).start()


def _wait_for_parent(folder: Path) -> None:
    while os.read(0, 1):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGTERM)
