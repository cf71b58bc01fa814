"""Processor seconds of the commands of a newcomer's first minutes: `python -m benchmarks.first_minutes [--runs 3] [--only NAME ...]`.

What is measured is user and system time of the command and of every process that it started, median over the runs: it says the same on a
machine that does other things too, though caches that are shared cost some. `--python FILE` measures another installation, such as the
state before a change, with the same sources.

The sources are made once and kept in the folder: the demo's network (two epochs), the tutorial's own network from the block of
docs/tutorial.md, the fused network of `benchmarks.mnist_fsdd` (one epoch, with the data set at hand) and the spiking ResNet18 of
`benchmarks.diagnosis` (11.2 million weights). The first demo export has an empty cache of compiled kernels.
"""

import argparse
import ctypes
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUN = "import sys; from snnfuse.cli import main; sys.argv[0] = 'snnfuse'; main()"
PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>: processes whose parents end become ours, so that their time is counted too
BOARD = ("--board", "kapoho-point")  # the smallest that holds it
EXPORT = ("--target", "loihi2", "--force", "-o")


@dataclass(frozen=True)
class Case:
    """A command to measure.

    Attributes:
        words: of the command line.
        asked: processor seconds that it may take.
        cold: whether the cache of compiled kernels is empty.
        source: makes the files that it reads, by its function's name.
    """

    words: tuple[str, ...]
    asked: float
    cold: bool = False
    source: str = ""


CASES = {
    "help": Case(("--help",), 0.15),
    "demo, kernels not compiled": Case(("export", "demo.pt", *EXPORT, "demo"), 8, True, "demo"),
    "demo": Case(("export", "demo.pt", *EXPORT, "demo"), 3.5, False, "demo"),
    "verify demo": Case(("verify", "demo"), 5, False, "demo"),
    "tutorial": Case(("export", "net.pt", "--model", "train:Net", "--calib", "calib.npz", *EXPORT, "tutorial"), 3, False, "tutorial"),
    "mnist-fsdd": Case(("export", "mnist-fsdd.pt", *EXPORT, "mnist-fsdd"), 10, False, "mnist_fsdd"),
    "resnet18": Case(("export", "resnet18.pt", "--calib", "images.npz", *BOARD, *EXPORT, "resnet18"), 60, False, "resnet18"),
}  # fmt: skip


def demo(folder: Path) -> None:
    """The demo's network, after two epochs."""
    _snnfuse(folder, "train", "fd-fusion", "--data", "av-digits", "--epochs", "2", "-o", "demo.pt", "--quiet")


def tutorial(folder: Path) -> None:
    """What the tutorial's first block trains."""
    block = re.search(r'```python title="train.py"\n(.*?)```', (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"), re.S)
    assert block is not None
    (folder / "train.py").write_text(block[1], encoding="utf-8")
    subprocess.run([sys.executable, "train.py"], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def mnist_fsdd(folder: Path) -> None:
    """The fused network, after an epoch."""
    _snnfuse(folder, "train", "fd-fusion", "--data", "mnist-fsdd", "--epochs", "1", "-o", "mnist-fsdd.pt", "--quiet")


def resnet18(folder: Path) -> None:
    """Weights as drawn, batch norms at the statistics of its images."""
    import numpy as np

    from benchmarks.diagnosis import CALIBRATION, images
    from benchmarks.diagnosis import resnet18 as network
    from snnfuse import save_checkpoint

    save_checkpoint(network(64), folder / "resnet18.pt")
    np.savez(folder / "images.npz", image=images(CALIBRATION, 1).astype(np.float32))


SOURCES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "demo": ("demo.pt", demo),
    "tutorial": ("net.pt", tutorial),
    "mnist_fsdd": ("mnist-fsdd.pt", mnist_fsdd),
    "resnet18": ("resnet18.pt", resnet18),
}


def _snnfuse(folder: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-c", RUN, *words], cwd=folder, check=True)


def processor_seconds(python: str, words: Sequence[str], folder: Path, kernels: Path) -> float:
    """User and system seconds of a command and of all that it starts.

    Raises:
        RuntimeError: it failed.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(kernels)}
    done = subprocess.run(
        [python, "-c", RUN, *words], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    try:
        while True:
            os.wait()  # for those that became ours
    except ChildProcessError:
        pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"snnfuse {' '.join(words)} failed: {done.stderr[-2000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(name: str, python: str, folder: Path, runs: int) -> list[float]:
    """Seconds of every run; kernels are compiled before the first, or anew for each."""
    case, kernels, found = CASES[name], folder / "kernels", list[float]()
    for number in range(runs if case.cold else runs + 1):
        if case.cold:
            shutil.rmtree(kernels, ignore_errors=True)
        seconds = processor_seconds(python, case.words, folder, kernels)
        if case.cold or number:  # the first of the others compiles what is not compiled yet
            found.append(seconds)
    return found


def main() -> None:
    """Make what is missing, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=CASES, default=list(CASES), metavar="NAME")
    parser.add_argument("--python", default=sys.executable, help="of the installation that is measured")
    parser.add_argument("--folder", type=Path, default=Path("out/first_minutes"))
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    options.folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in options.only:
        if case_source := CASES[name].source:
            file, make = SOURCES[case_source]
            if not (options.folder / file).exists():
                make(options.folder)
        seconds = measure(name, options.python, options.folder.resolve(), options.runs)
        rows.append({"case": name, "asked": CASES[name].asked, "median": round(statistics.median(seconds), 2), "runs": seconds})
        print(f"{name}: {rows[-1]['median']} s of processor time, asked {CASES[name].asked}; load {os.getloadavg()[0]:.1f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
