"""Change one operator or constant of the target's arithmetic at a time and ask the fast tests: python tools/mutants.py [--sample N].

The tests run once with a tracer, which finds those that execute each line. Each mutant is then compiled in place of its module in a fresh
process (forked after numpy, PyTorch and the like were imported, before snnfuse is), which runs the tests of the changed statement, quickest
first, up to the first failure. A changed value of a module is asked of every test that runs anything of the module, but of none that runs
a compiled kernel: its machine code keeps the value. Ends with the share that the tests killed and lists those that survived: a test that is
missing, or a change that changes nothing, which tools/equivalent_mutants.json then names with the reason and leaves out of the share.
"""

import argparse
import ast
import copy
import importlib
import json
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
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
PRELOADED = (
    "numpy",
    "scipy.sparse",
    "torch",
    "numba",
    "nir",
    "h5py",
    "safetensors.numpy",
    "snntorch",
    "hypothesis",
    "pytest",
    "rich",
    "jinja2",
)
OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or, ast.Or: ast.And, ast.USub: ast.UAdd,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "any": "all", "all": "any"}
FEW, MARGIN_S, TIMES = 25, 20.0, 5.0  # tests asked first; what a mutant may take, over so many times what its tests take
MEMORY = 8 << 30
Lines = dict[str, set[int]]


@dataclass(frozen=True)
class Site:
    """Something that can be changed.

    Attributes:
        file: from the root.
        index, place: among all nodes of its tree, and among the node's operators.
        lines: of the statement that it stands in.
        function: that encloses it; empty for what runs on import.
        what: before -> after.
    """

    file: str
    index: int
    place: int
    lines: tuple[int, ...]
    function: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.lines[0]} {self.function or '(module)'}: {self.what}"

    @property
    def name(self) -> str:
        """Names it whatever lines stand above."""
        return f"{self.function}: {self.what}"


@dataclass
class Ran:
    """What a test did: seconds, the lines of `FILES` that it ran, and whether it ran a compiled kernel."""

    seconds: float
    lines: Lines
    compiled: bool


def sites(file: str, tree: ast.Module) -> Iterator[Site]:
    """Everything of a file that can be changed, but messages."""
    index = {node: number for number, node in enumerate(ast.walk(tree))}
    seen: Counter[str] = Counter()
    waiting: list[tuple[ast.AST, tuple[int, ...], str, str]] = [(tree, (), "", "")]
    while waiting:
        node, lines, outer, function = waiting.pop()
        if isinstance(node, ast.JoinedStr):
            continue
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            outer = f"{outer}.{node.name}" if outer else node.name
            inside = isinstance(node, ast.FunctionDef) or bool(function)
            body = {id(inner) for inner in node.body}
            waiting += [(inner, lines, outer, outer if inside and id(inner) in body else function) for inner in ast.iter_child_nodes(node)]
            continue
        if isinstance(node, ast.stmt):
            end = node.body[0].lineno - 1 if isinstance(node, (ast.If, ast.For, ast.While, ast.With)) else node.end_lineno or node.lineno
            lines = tuple(range(node.lineno, max(end, node.lineno) + 1))
        waiting += [(inner, lines, outer, function) for inner in ast.iter_child_nodes(node)]
        for place in range(_choices(node)):
            changed = copy.deepcopy(node)
            _change(changed, place)
            what = f"{ast.unparse(node)} -> {ast.unparse(changed)}"
            seen[f"{function}: {what}"] += 1
            what += f" ({seen[f'{function}: {what}']})" if seen[f"{function}: {what}"] > 1 else ""
            yield Site(file, index[node], place, lines or (getattr(node, "lineno", 1),), function, what)


def _choices(node: ast.AST) -> int:
    """In how many places a node itself can be changed."""
    if isinstance(node, (ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.AugAssign)):
        return int(type(node.op) in OPERATORS)
    if isinstance(node, ast.Compare):
        return len(node.ops) if all(type(operator) in OPERATORS for operator in node.ops) else 0
    if isinstance(node, ast.Constant):
        return int(type(node.value) in (int, float, bool))
    return int(isinstance(node, ast.Name) and node.id in NAMES or isinstance(node, ast.Attribute) and node.attr in NAMES)


def _change(node: Any, place: int) -> None:
    if isinstance(node, ast.Constant):
        node.value = not node.value if isinstance(node.value, bool) else node.value + 1  # type: ignore[operator]
    elif isinstance(node, ast.Compare):
        node.ops[place] = OPERATORS[type(node.ops[place])]()
    elif isinstance(node, ast.Name):
        node.id = NAMES[node.id]
    elif isinstance(node, ast.Attribute):
        node.attr = NAMES[node.attr]
    else:
        node.op = OPERATORS[type(node.op)]()


def mutant(site: Site) -> CodeType:
    """Compile a file with one change, its lines where they were."""
    tree = ast.parse((ROOT / site.file).read_text())
    _change(list(ast.walk(tree))[site.index], site.place)
    return compile(tree, str(ROOT / site.file), "exec", dont_inherit=True)


def replace(file: str, code: CodeType) -> None:
    """Import this code in place of the file's."""
    real = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
        return code if Path(self.path) == ROOT / file else real(self, fullname)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]


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

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            raise SystemExit(f"{report.nodeid} fails before anything is changed")

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


def run_tests(tests: list[str], plugins: list[object], quiet: bool) -> int:
    import pytest

    if quiet:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    return int(
        pytest.main(["-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(ROOT), *tests], plugins)
    )


def trace(file: Path) -> int:
    tracer = Tracer()
    code = run_tests([str(ROOT / test) for test in TESTS], [tracer], quiet=False)
    found = {
        name: [ran.seconds, {file: sorted(lines) for file, lines in ran.lines.items()}, ran.compiled] for name, ran in tracer.ran.items()
    }
    file.write_text(json.dumps(found))
    return code


def asked(site: Site, ran: dict[str, Ran]) -> list[str]:
    """The tests that a mutant is shown to, quickest first."""
    if site.function:
        found = [name for name, test in ran.items() if test.lines.get(site.file, set()) & set(site.lines)]
    else:
        found = [name for name, test in ran.items() if site.file in test.lines and not test.compiled]
    return sorted(found, key=lambda name: ran[name].seconds)


def is_killed(site: Site, ran: dict[str, Ran]) -> bool:
    """Whether a test fails with the change, or does not end."""
    tests = asked(site, ran)

    def work(few: list[str]) -> int:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        replace(site.file, mutant(site))
        return run_tests(few, [], quiet=True)

    for few in (tests[:FEW], tests[FEW:]):
        if few and in_child(lambda few=few: work(few), TIMES * sum(ran[test].seconds for test in few) + MARGIN_S):
            return True
    return False


def main() -> int:
    """Run a sample and print what came of it; returns 1 if less than 95 % were killed, 2 if the tests fail anyway."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", action="append", choices=FILES, help="of these only; all by default")
    parser.add_argument("--only", help="mutants whose line holds this text, as one of an earlier run")
    options = parser.parse_args()
    os.chdir(ROOT)
    os.environ |= {"OMP_NUM_THREADS": "1"}
    for name in PRELOADED:
        importlib.import_module(name)
    equivalent = json.loads(EQUIVALENT.read_text()) if EQUIVALENT.exists() else {}
    everything = [site for file in options.file or FILES for site in sites(file, ast.parse((ROOT / file).read_text()))]
    same = [site for site in everything if site.name in equivalent.get(site.file, {})]
    changing = [site for site in everything if site not in same and (not options.only or options.only in str(site))]
    chosen = random.Random(options.seed).sample(changing, min(options.sample, len(changing)))
    traced = ROOT / "build" / "mutants.json"
    traced.parent.mkdir(exist_ok=True)
    if in_child(lambda: trace(traced), 1800) != 0:
        print("the tests fail before anything is changed", file=sys.stderr)
        return 2
    ran = {name: Ran(seconds, {f: set(lines) for f, lines in by_file.items()}, compiled) for name, (seconds, by_file, compiled) in
           json.loads(traced.read_text()).items()}  # fmt: skip
    print(f"{len(ran)} tests; {len(everything)} changes, of which {len(same)} are known to change nothing", flush=True)
    survivors = []
    for number, site in enumerate(chosen, 1):
        if not is_killed(site, ran):
            survivors.append(site)
            print(f"survived {'' if asked(site, ran) else '(no test runs it) '}{site}", flush=True)
        if number % 50 == 0 or number == len(chosen):
            print(f"{number} of {len(chosen)}: {number - len(survivors)} killed", flush=True)
    return int(len(survivors) > 0.05 * len(chosen))


if __name__ == "__main__":
    sys.exit(main())
