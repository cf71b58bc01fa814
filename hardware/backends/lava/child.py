"""Jobs of a module of this package, each in a process of its own, in a folder of its own, with nothing of either left behind.

To import Lava takes longer than most runs. So a child imports it once, and forks a process per job (`server.py`): a job finds nothing
of the one before. One child is kept for the next job, for `SPARE_S` seconds; a job that fails or is cut short ends its child.

The child leads a session, so that it and whatever it forks can be ended together. Its standard input is a pipe on which nothing
but jobs comes: when the parent dies, however it dies, the pipe closes, and the child ends itself. All temporary files go into the
folder. Shared memory is given back by the resource tracker of the job's multiprocessing, which ignores SIGTERM and cleans up once
the others are gone.
"""

import atexit
import json
import os
import selectors
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

from snnfuse.hardware.backends.lava.descendants import descendants, signal_each
from snnfuse.hardware.errors import EnvironmentProblem

SERVER = "snnfuse.hardware.backends.lava.server"
OUTPUT = "output.txt"  # what the child and its children print
ERROR = "error.txt"  # what went wrong, written by the child
GRACE_S = 5.0  # for the resource tracker
SPARE_S = 300.0  # that a child waits for its next job; it holds 110 MB meanwhile
LONGEST_WAIT_S = 86400.0  # of one call of select, whose milliseconds are an int
FOLDERS = "snnfuse-lava-"  # how names of temporary folders begin, before the number of the process that made it
SOCKET_FOLDER_CHARACTERS = 72  # multiprocessing adds up to 32 for a socket, whose path may have 107


class LavaFailed(Exception):
    """In the child: a Lava process raised or died; the message is its traceback."""


@contextmanager
def job_folder() -> Iterator[Path]:
    """A temporary folder, gone afterwards; EnvironmentProblem where none can be made."""
    _clear_up()
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{FOLDERS}{os.getpid()}-"))
    except OSError as error:
        raise EnvironmentProblem(f"cannot make a temporary folder for Lava: {error}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _clear_up() -> None:
    """Remove the folders of runs that were killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{FOLDERS}*-*"):
        owner = left.name.removeprefix(FOLDERS).partition("-")[0]
        if not owner.isdecimal():
            continue
        try:
            os.kill(int(owner), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except OSError:  # of another user
            continue


def run_module(module: str, folder: Path, timeout: float, what: str) -> None:
    """Run a module's `main(folder)` to its end, in a process that is forked after the module's `prepare()`.

    Args:
        module: its main(folder) writes its results into the folder; its prepare() imports what is worth importing once.
        folder: where it works.
        timeout: seconds that it may take, the start of a child included.
        what: what it does, for messages.

    Raises:
        EnvironmentProblem: it failed, or did not end in time.
    """
    child = _take_spare(module) or Child(module, folder / OUTPUT)
    code = None
    try:
        code = child.run(folder, timeout)
    except TimeoutError:
        raise EnvironmentProblem(
            f"{what} did not end within its time limit of {timeout:g} s; raise it with timeout={max(10.0, 2 * timeout):g}"
        ) from None
    finally:
        if code == 0:
            _keep(child)
        else:
            child.end()
    if code:
        raise EnvironmentProblem(f"{what} failed: {_reason(folder, code)}")


def _import_path() -> str:
    return os.pathsep.join(dict.fromkeys(os.path.abspath(path) for path in sys.path))


def _environment(folder: Path | None = None) -> dict[str, str]:
    """The parent's import path, the folder for temporary files, and one thread per process, for Lava has many processes."""
    short = folder is not None and len(str(folder)) <= SOCKET_FOLDER_CHARACTERS
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**os.environ, "PYTHONPATH": _import_path(), "TMPDIR": str(folder) if short else "/tmp", **single}


class Child:
    """A process that imports a module, and forks a process for each job of it.

    Attributes:
        serves: what it was started for: the module, and where it is imported from.
        process: the child, which leads a session.
        jobs, replies: its standard input and output.
        used: when its last job ended, in seconds of the monotonic clock.
    """

    def __init__(self, module: str, output: Path) -> None:
        self.serves = (module, _import_path())
        with open(output, "wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", SERVER, module, str(SPARE_S)],
                bufsize=0,  # a process that is forked meanwhile has no lock of ours to wait for
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                cwd=output.anchor,  # not the folder: it may be gone before the resource tracker has started
                env=_environment(),
                start_new_session=True,
            )
        assert self.process.stdin is not None and self.process.stdout is not None  # as asked for above
        self.jobs, self.replies = self.process.stdin, self.process.stdout
        self.used = time.monotonic()
        _running.add(self)

    def run(self, folder: Path, timeout: float) -> int:
        """Run a job. Returns: its exit code. Raises: TimeoutError."""
        job = memoryview(json.dumps({"folder": str(folder), "environment": _environment(folder)}).encode() + b"\n")
        end = time.monotonic() + timeout
        with suppress(BrokenPipeError):  # it has died, which the reply tells
            while job:
                job = job[self.jobs.write(job) :]
        with selectors.DefaultSelector() as selector:
            selector.register(self.replies, selectors.EVENT_READ)
            while not selector.select(min(end - time.monotonic(), LONGEST_WAIT_S)):
                if time.monotonic() >= end:
                    raise TimeoutError
        reply = self.replies.read(16)
        self.used = time.monotonic()
        return int(reply) if reply else self.process.wait() or 1

    def is_waiting(self) -> bool:
        """Return True if it is there, and will be for long enough to be given a job."""
        return self.process.poll() is None and time.monotonic() - self.used < SPARE_S / 2

    def end(self) -> None:
        """End the child and all that it started."""
        started = set[int]()
        if self.process.poll() is None:
            started = descendants(self.process.pid)
            signal_each(started, signal.SIGTERM)
            _signal_group(self.process.pid, signal.SIGTERM)
            self.process.wait()
        self.forget()
        if self.process.returncode:
            _signal_group(self.process.pid, signal.SIGTERM)
            _wait_for_group(self.process.pid)
            _signal_group(self.process.pid, signal.SIGKILL)
            signal_each(started, signal.SIGKILL)  # those that lead sessions of their own; all were there a moment ago

    def dismiss(self) -> None:
        """End a child that has no job: it ends itself, at once."""
        self.forget()
        self.process.wait()

    def forget(self) -> None:
        """Close its pipes."""
        _running.discard(self)
        self.jobs.close()
        self.replies.close()


_running: set[Child] = set()
_spare: list[Child] = []  # one at most
_lock = threading.Lock()


def _exchange_spare(child: Child | None) -> Child | None:
    """Put a child aside, or none. Returns: the one that was there."""
    with _lock:
        before = _spare.pop() if _spare else None
        if child is not None:
            _spare.append(child)
    return before


def _take_spare(module: str) -> Child | None:
    spare = _exchange_spare(None)
    if spare is None or (spare.serves == (module, _import_path()) and spare.is_waiting()):
        return spare
    spare.dismiss()
    return None


def _keep(child: Child) -> None:
    """For the next job; two jobs at the same time have two children, of which one is kept."""
    before = _exchange_spare(child)
    if before is not None:
        before.dismiss()


@atexit.register
def _dismiss_spare() -> None:
    spare = _exchange_spare(None)
    if spare is not None:
        spare.dismiss()


def _forget_all() -> None:
    """In a forked process: the children are its parent's, and its copies of their pipes would keep them from ending."""
    global _lock
    _lock = threading.Lock()
    for child in tuple(_running):
        child.process.returncode = 0  # nobody's to wait for
        child.forget()
    _spare.clear()


os.register_at_fork(after_in_child=_forget_all)


def _signal_group(group: int, number: int) -> bool:
    """Return True if there was anyone to signal."""
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
