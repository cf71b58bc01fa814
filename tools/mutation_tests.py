"""Which tests run which lines, and how they are run against a change: in a forked process, up to the first that fails."""

import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from types import FrameType
from typing import Any

from mutation_sites import ROOT, Site

COMPILED = str(ROOT / "hardware" / "backends" / "emulator")
MOST_S, MORE_S = 6.0, 90.0  # of tests, with a tracer: that a change is shown to first, and if it survives
TIMES, MARGIN_S = 5.0, 6.0  # processor seconds that a change may take: so many times what its tests take with a tracer, and some more
WAITING = 20.0  # times as many seconds as that by the clock, on a machine that others use too
MEMORY = 8 << 30
Lines = dict[str, set[int]]


@dataclass
class Ran:
    """What a test did: processor seconds with a tracer, the lines of the files that it ran, and whether it ran a compiled kernel."""

    seconds: float
    lines: Lines
    compiled: bool


class Tracer:
    """A plugin of pytest that notes what each test ran; one that fails, as those may that measure seconds, is left out."""

    def __init__(self, files: Iterable[str]) -> None:
        self.files = {str(ROOT / file): file for file in files}
        self.ran: dict[str, Ran] = {}
        self.failed: set[str] = set()
        self.now = Ran(0.0, {}, False)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.now = self.ran[nodeid] = Ran(time.process_time(), {}, False)
        sys.settrace(self.called)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        sys.settrace(None)
        self.now.seconds = time.process_time() - self.now.seconds

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed.add(report.nodeid)

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


class Failed:
    """A plugin of pytest that says which test failed first, and ends the process."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            os.write(self.pipe, report.nodeid.encode())
            os._exit(1)


class Only:
    """A plugin of pytest that keeps these tests, in this order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.place = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = sorted((item for item in items if item.nodeid in self.place), key=lambda item: self.place[item.nodeid])


def start(tests: Sequence[str], plugins: list[object]) -> int:
    """Run pytest in this process."""
    import pytest

    always = ["-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:terminal", "--rootdir", str(ROOT)]
    return int(pytest.main([*always, *tests], plugins))


def run_items(items: Sequence[Any]) -> None:
    """Run collected tests in this process."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, other than 0 where a signal or the time ended it, and the test that failed."""

    code: int
    killer: str


def in_child(work: Callable[[int], int], seconds: float) -> Ended:
    """Run in a forked process of its own, with a pipe to say what failed; it has so many processor seconds."""
    said, say = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        code = 70
        try:
            os.close(said)
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
            code = work(say)
        finally:
            os._exit(code)
    os.close(say)
    try:
        end = time.monotonic() + WAITING * seconds
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return Ended(os.waitstatus_to_exitcode(status), os.read(said, 4096).decode())
            time.sleep(0.005)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return Ended(1, "it did not end")
    finally:
        os.close(said)


class Asked:
    """Chooses the tests that a change is shown to: those that killed others of its file first, then the quickest case of each function, the
    second of each, and so on."""

    def __init__(self, ran: Mapping[str, Ran]) -> None:
        self.ran = ran
        self.kills: dict[tuple[str, str], int] = {}

    def killed(self, site: Site, test: str) -> None:
        self.kills[site.file, test] = self.kills.get((site.file, test), 0) + 1

    def of(self, site: Site) -> list[str]:
        """Those that run the change, and not more than take `MORE_S`."""
        if site.function:
            found = [name for name, test in self.ran.items() if test.lines.get(site.file, set()) & set(site.lines)]
        else:  # which of them read a value of a module no tracer sees
            found = [name for name, test in self.ran.items() if not test.compiled]
        seen: Counter[str] = Counter()
        case: dict[str, int] = {}
        for name in sorted(found, key=lambda name: self.ran[name].seconds):
            seen[name.partition("[")[0]] += 1
            case[name] = seen[name.partition("[")[0]]
        kills = {name: self.kills.get((site.file, name), 0) for name in found}
        quickest = sorted(found, key=lambda name: (-kills[name], site.file not in self.ran[name].lines, case[name], self.ran[name].seconds))
        until = accumulate(self.ran[name].seconds for name in quickest)
        return [name for name, seconds in zip(quickest, until, strict=True) if seconds < MORE_S] or quickest[:1]

    def parts(self, tests: Sequence[str]) -> Iterator[list[str]]:
        """The first of them, and the others, for which a process of its own pays only where those let the change live."""
        until = list(accumulate(self.ran[name].seconds for name in tests))
        few = max(1, sum(seconds < MOST_S for seconds in until))
        yield list(tests[:few])
        if tests[few:]:
            yield list(tests[few:])

    def seconds(self, tests: Iterable[str]) -> float:
        """That they may take."""
        return TIMES * sum(self.ran[test].seconds for test in tests) + MARGIN_S


@contextmanager
def fresh_interpreters(work: Callable[[Any, int], int]) -> Iterator[Callable[[Any, float], Ended]]:
    """Lend a function that runs `work(what, pipe)`, what being JSON, in a process that has imported other packages, but nothing of ours.

    It is forked of one that does nothing else, so that the seconds of importing torch are taken once.
    """
    (asks, ask), (answers, answer) = os.pipe(), os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.close(ask)
            _serve(asks, answer, work)
        finally:
            os._exit(0)
    os.close(asks)
    os.close(answer)
    with open(ask, "w") as questions, open(answers) as replies:

        def run(what: Any, seconds: float) -> Ended:
            questions.write(json.dumps([what, seconds]) + "\n")
            questions.flush()
            return Ended(*json.loads(replies.readline()))

        try:
            yield run
        finally:
            questions.close()
            os.waitpid(process, 0)


def _serve(asks: int, answer: int, work: Callable[[Any, int], int]) -> None:
    import hypothesis  # noqa: F401
    import numba  # noqa: F401
    import pytest  # noqa: F401
    import scipy.sparse  # noqa: F401
    import torch  # noqa: F401

    with open(asks) as questions, open(answer, "w") as replies:
        for line in questions:
            what, seconds = json.loads(line)
            ended = in_child(lambda pipe, what=what: work(what, pipe), seconds)
            replies.write(json.dumps([ended.code, ended.killer]) + "\n")
            replies.flush()
