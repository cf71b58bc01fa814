"""Run cases in a process of their own and count what they do: errors of ours are what is hoped for, all else is a finding.

A case that is killed by a signal is a crash, one that takes longer than `LONGEST_S` a hang, an exception that no reader foresaw a finding,
counted once per place that raised it. The memory of a case is the peak of its process over what it had before the case.
"""

import hashlib
import multiprocessing
import os
import shutil
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from snnfuse.hardware.errors import SnnfuseError, UnforeseenFileError

LONGEST_S = 10.0
BATCH = 400  # cases of one process, so that nothing that leaks adds up
KEPT = Path("out/fuzz")
Rng = np.random.Generator


@dataclass(frozen=True)
class Family:
    """What is fuzzed: one kind of file, and what reads it.

    Attributes:
        seeds: write the files, or folders, that cases are mutated from, into a folder.
        mutate: make a case of a seed, in place.
        read: what a command does with it.
    """

    name: str
    seeds: Callable[[Path], None]
    mutate: Callable[[Rng, Path], None]
    read: Callable[[Path], object]


@dataclass
class Tally:
    """What the cases did.

    Attributes:
        codes: how many ended with each exit code; 0 was read.
        findings: the first case of each, by what identifies it.
        largest_kib: the most memory of a case.
        slowest_s: the longest that one took.
    """

    executions: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    findings: dict[str, str] = field(default_factory=dict)
    hangs: int = 0
    crashes: int = 0
    largest_kib: int = 0
    largest_case: int = 0
    slowest_s: float = 0.0


def fuzz(family: Family, seconds: float, seed: int, first: int = 0) -> Tally:
    """Run cases for so long; the same seed and first case give the same cases."""
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"snnfuse-fuzz-{family.name}-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "seeds").mkdir(parents=True)
    tally, end, number = Tally(), time.monotonic() + seconds, first
    try:
        family.seeds(folder / "seeds")
        for whole in sorted((folder / "seeds").iterdir()):
            with suppress(SnnfuseError):
                family.read(whole)  # compiles what workers would have to compile
        while time.monotonic() < end:
            number = _batch(family, folder, seed, number, end, tally)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return tally


def make_case(family: Family, folder: Path, seed: int, number: int, place: str = "case") -> Path:
    """Write one case; returns where it lies, in a folder that it has for itself."""
    rng = np.random.default_rng((seed, number))
    seeds = sorted((folder / "seeds").iterdir())
    chosen = seeds[rng.integers(len(seeds))]
    target = folder / place / chosen.name
    shutil.rmtree(folder / place, ignore_errors=True)
    target.parent.mkdir()
    shutil.copytree(chosen, target) if chosen.is_dir() else shutil.copy(chosen, target)
    for _ in range(1 + int(rng.integers(3))):
        try:
            family.mutate(rng, target)
        except Exception:  # it was damaged before, so that there is no structure left to change
            break
    return target


def _batch(family: Family, folder: Path, seed: int, first: int, end: float, tally: Tally) -> int:
    """Run cases in one process until it has run enough, or died; returns the number of the next."""
    ours, theirs = multiprocessing.Pipe()
    worker = multiprocessing.get_context("fork").Process(target=_work, args=(family, folder, seed, first, theirs))
    worker.start()
    theirs.close()
    number, started = first, time.monotonic()
    try:
        while number < first + BATCH and time.monotonic() < end:
            if not ours.poll(LONGEST_S + (20 if number == first else 5)):  # the case itself is stopped by an alarm; this is for C code
                tally.hangs += 1
                _keep(family, folder, seed, number, "hang", "it did not even take an alarm", tally)
                return number + 1
            code, finding, trace, kib, took = ours.recv()
            _count(tally, code, kib, took, number)
            if finding:
                tally.hangs += finding == "hang"
                _keep(family, folder, seed, number, finding, trace, tally)
            number, started = number + 1, time.monotonic()
        return number
    except EOFError:
        worker.join()
        tally.crashes += 1
        _keep(family, folder, seed, number, f"died with {worker.exitcode} {time.monotonic() - started:.1f} s", "", tally)
        return number + 1
    finally:
        worker.kill()
        worker.join()


def _count(tally: Tally, code: int, kib: int, took: float, number: int) -> None:
    tally.executions += 1
    tally.codes[code] += 1
    if kib > tally.largest_kib:
        tally.largest_kib, tally.largest_case = kib, number
    tally.slowest_s = max(tally.slowest_s, took)


def _work(family: Family, folder: Path, seed: int, first: int, results: Connection) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    signal.signal(signal.SIGALRM, _too_long)
    for number in range(first, first + BATCH):
        path = make_case(family, folder, seed, number)
        start, before = time.monotonic(), _reset_peak()
        finding, trace, code = "", "", 0
        try:
            signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
            family.read(path)
        except UnforeseenFileError as error:
            finding, trace, code = _signature(error.__cause__ or error), _trace(error), 2
        except SnnfuseError as error:
            code = error.exit_code
        except _Hang as error:
            finding, trace, code = "hang", _trace(error), 70
        except Exception as error:
            finding, trace, code = _signature(error), _trace(error), 70
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        results.send((code, finding, trace, _peak() - before, time.monotonic() - start))


class _Hang(BaseException):
    pass


def _too_long(number: int, frame: object) -> None:
    raise _Hang


def _signature(error: BaseException) -> str:
    """The type, and the last place in our code and at all."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename and "/tests/" not in frame.filename][-1:]
    places = dict.fromkeys(f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno}" for frame in (*ours, *frames[-1:]))
    return f"{type(error).__name__} at {', '.join(places)}"


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _keep(family: Family, folder: Path, seed: int, number: int, finding: str, trace: str, tally: Tally) -> None:
    if finding in tally.findings:
        return
    tally.findings[finding] = f"seed {seed}, case {number}"
    name = f"{number}-{hashlib.sha256(finding.encode()).hexdigest()[:6]}"
    place = KEPT / family.name / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / "finding.txt").write_text(f"{finding}\nseed {seed}, case {number}\n{trace}", errors="backslashreplace")
    with suppress(OSError):  # the case may be a folder with a pipe in it
        case = make_case(family, folder, seed, number, "kept")
        shutil.copytree(case, place / case.name) if case.is_dir() else shutil.copy(case, place)


def _reset_peak() -> int:
    """Let the kernel count a peak from now on; returns the memory in use, in KiB."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(name + ":")), 0)
