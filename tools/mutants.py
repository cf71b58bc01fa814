"""Change one operator or constant of the target's arithmetic at a time and ask the fast tests: python tools/mutants.py [--sample N].

The tests run once with a tracer, which finds those that execute each line; build/mutants.json keeps that until a file changes. For each
mutant a process is then forked in which the functions of its module have the changed code, and which runs the tests of the changed
statement, quickest first, up to the first failure. What runs on import is changed before a new process imports it, and asked of every test
that runs anything of the module, but of none that runs a compiled kernel: its machine code keeps the value. Ends with the share that the
tests killed and lists those that survived: a test that is missing, or a change that changes nothing, which tools/equivalent_mutants.json
then names with the reason and leaves out of the share.
"""

import argparse
import ast
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from types import FrameType
from typing import Any

from mutation_sites import ROOT, Site, mutant, patch, replace, sites

EQUIVALENT = ROOT / "tools" / "equivalent_mutants.json"
FILES = (
    *("hardware/ir/lif.py", "hardware/ir/fixed_point.py", "hardware/ir/graded.py", "hardware/ir/encoding.py", "hardware/ir/csr.py"),
    *(
        f"hardware/ir/synapses/{name}.py"
        for name in ("base", "conv2d", "dense", "diagonal", "exact_products", "geometry", "sparse", "weights")
    ),
    *(f"hardware/overflow/{name}.py" for name in ("bounds", "graded", "intervals", "lif", "weighted_sums")),
    "hardware/chip/bounds.py",
)
TESTS = ("tests/hardware/ir", "tests/hardware/overflow", "tests/hardware/chip", "tests/hardware/backends/test_emulator.py")
COMPILED = str(ROOT / "hardware" / "backends" / "emulator")
MOST_S = 6.0
MARGIN_S, TIMES = 20.0, 5.0  # what a mutant may take, over so many times what its tests take
MEMORY = 8 << 30
Lines = dict[str, set[int]]


@dataclass
class Ran:
    """What a test did: seconds, the lines of `FILES` that it ran, and whether it ran a compiled kernel."""

    seconds: float
    lines: Lines
    compiled: bool


class Tracer:
    """A plugin of pytest that notes what each test ran."""

    def __init__(self) -> None:
        self.files = {str(ROOT / file): file for file in FILES}
        self.ran: dict[str, Ran] = {}
        self.now = Ran(0.0, {}, False)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.now = self.ran[nodeid] = Ran(time.monotonic(), {}, False)
        sys.settrace(self.called)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        sys.settrace(None)
        self.now.seconds = time.monotonic() - self.now.seconds

    def called(self, frame: FrameType, event: str, argument: Any) -> Callable | None:
        name = frame.f_code.co_filename
        if name in self.files:
            lines = self.now.lines.setdefault(self.files[name], set())
            lines.add(frame.f_lineno)

            def line(frame: FrameType, event: str, argument: Any) -> Callable:
                lines.add(frame.f_lineno)
                return line

            return line
        self.now.compiled |= name.startswith(COMPILED)
        return None


def in_child(work: Callable[[], int], longest_s: float) -> int | None:
    """Run in a forked process of its own; returns its exit code, 1 if a signal or the time ended it."""
    child = os.fork()
    if child == 0:
        os.setsid()
        code = 70
        try:
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1):
                os.dup2(null, stream)
            code = work()
        finally:
            os._exit(code)
    end = time.monotonic() + longest_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 1


class Failed:
    """A plugin of pytest that ends the process at the first failure, and sees whether there are tests at all."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}

    def pytest_collection_finish(self, session: Any) -> None:
        self.items = {item.nodeid: item for item in session.items}

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            os.write(2, f"{report.nodeid} failed\n".encode())
            os._exit(1)


def start(tests: Sequence[str], plugins: list[object], quiet: bool) -> int:
    import pytest

    if quiet:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    return int(
        pytest.main(
            ["-x", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:terminal", "--rootdir", str(ROOT), *tests],
            plugins,
        )
    )


def asked(site: Site, ran: dict[str, Ran]) -> list[str]:
    """The tests that a mutant is shown to, quickest first, as many as take so long: more could only kill more."""
    if site.function:
        found = [name for name, test in ran.items() if test.lines.get(site.file, set()) & set(site.lines)]
    else:
        own = f"tests/{Path(site.file).parent}/test_{Path(site.file).stem}.py::"
        found = [name for name, test in ran.items() if (site.file in test.lines or name.startswith(own)) and not test.compiled]
    quickest = sorted(found, key=lambda name: ran[name].seconds)
    until = accumulate(ran[name].seconds for name in quickest)
    return [name for name, seconds in zip(quickest, until, strict=True) if seconds < MOST_S] or quickest[:1]


class Mutants(Failed):
    """The plugin of pytest that runs, in place of the tests, one traced round and then every mutant, each in a child of its own."""

    def __init__(self, chosen: list[Site]) -> None:
        super().__init__()
        self.chosen, self.ran = chosen, {}
        self.survivors: list[Site] = []

    def pytest_runtestloop(self, session: Any) -> bool:
        traced = ROOT / "build" / "mutants.json"
        traced.parent.mkdir(exist_ok=True)
        if in_child(lambda: self.trace(session, traced), 1800) != 0:
            print("the tests fail before anything is changed", file=sys.stderr)
            os._exit(2)
        self.ran = {
            name: Ran(seconds, {file: set(lines) for file, lines in by_file.items()}, compiled)
            for name, (seconds, by_file, compiled) in json.loads(traced.read_text()).items()
        }
        print(f"{len(self.ran)} tests", flush=True)
        for number, site in enumerate(self.chosen, 1):
            if not self.is_killed(session, site):
                self.survivors.append(site)
                print(f"survived {'' if asked(site, self.ran) else '(no test runs it) '}{site}", flush=True)
            if number % 10 == 0 or number == len(self.chosen):
                print(f"{number} of {len(self.chosen)}: {number - len(self.survivors)} killed", flush=True)
        return True

    def trace(self, session: Any, file: Path) -> int:
        tracer, known = Tracer(), recorded(file)
        session.config.pluginmanager.register(tracer)
        run_items([item for name, item in self.items.items() if name not in known])
        found = {name: ran for name, ran in known.items() if name in self.items}
        found |= {
            name: [ran.seconds, {f: sorted(lines) for f, lines in ran.lines.items()}, ran.compiled] for name, ran in tracer.ran.items()
        }
        file.write_text(json.dumps(found))
        return 0

    def is_killed(self, session: Any, site: Site) -> bool:
        """Whether a test fails with the change, or does not end."""
        tests = asked(site, self.ran)
        longest = TIMES * sum(self.ran[test].seconds for test in tests) + MARGIN_S

        def work() -> int:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            if site.function:
                patch(site)
                run_items([self.items[test] for test in tests])
                return 0
            names = json.dumps([site.file, site.index, site.place, *tests])
            os.execv(sys.executable, [sys.executable, __file__, "--one", names])

        return bool(tests) and in_child(work, longest + 20) != 0


def recorded(traced: Path) -> dict[str, list]:
    """What the tracer found of tests that were not written since; nothing where a file that is changed was."""
    if not traced.exists() or traced.stat().st_mtime < max((ROOT / file).stat().st_mtime for file in FILES):
        return {}
    found = json.loads(traced.read_text())
    return {name: ran for name, ran in found.items() if (ROOT / name.partition("::")[0]).stat().st_mtime < traced.stat().st_mtime}


def run_items(items: list[Any]) -> None:
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def one(names: str) -> int:
    """Run tests with a module's value changed before anything imports it."""
    file, index, place, *tests = json.loads(names)
    site = Site(file, index, place, (), "", "")
    replace(file, mutant(site))
    failed = Failed()
    code = start(list(dict.fromkeys(test.partition("::")[0] for test in tests)), [failed, Only(set(tests))], quiet=True)
    return code


class Only:
    """A plugin of pytest that keeps these tests."""

    def __init__(self, tests: set[str]) -> None:
        self.tests = tests

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if item.nodeid in self.tests]


def main() -> int:
    """Run a sample and print what came of it; returns 1 if less than 95 % were killed, 2 if the tests fail anyway."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", action="append", choices=FILES, help="of these only; all by default")
    parser.add_argument("--only", help="mutants whose line holds this text, as one of an earlier run")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.chdir(ROOT)
    os.environ |= {"OMP_NUM_THREADS": "1"}
    if options.one:
        return one(options.one)
    equivalent = json.loads(EQUIVALENT.read_text()) if EQUIVALENT.exists() else {}
    everything = [site for file in options.file or FILES for site in sites(file, ast.parse((ROOT / file).read_text()))]
    same = [site for site in everything if site.name in equivalent.get(site.file, {})]
    changing = [site for site in everything if site not in same and (not options.only or options.only in str(site))]
    chosen = random.Random(options.seed).sample(changing, min(options.sample, len(changing)))
    print(f"{len(everything)} changes, of which {len(same)} are known to change nothing; {len(chosen)} are tried", flush=True)
    plugin = Mutants(chosen)
    start([str(ROOT / test) for test in TESTS], [plugin], quiet=False)
    return int(len(plugin.survivors) > 0.05 * len(chosen))


if __name__ == "__main__":
    sys.exit(main())
