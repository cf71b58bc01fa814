"""Change one operator or constant of the target's arithmetic at a time and ask the fast tests: python tools/mutants.py [--sample N].

Each mutant lies in a copy of the sources, which is imported before the installed ones. Ends with the share that the tests killed, and lists
those that survived: a test that is missing, or a change that changes nothing.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "hardware/ir/lif.py": ("tests/hardware/ir/test_lif.py",),
    "hardware/ir/fixed_point.py": ("tests/hardware/ir/test_lif.py", "tests/hardware/ir/test_synapses.py"),
    "hardware/ir/encoding.py": ("tests/hardware/ir/test_program.py", "tests/hardware/ir/test_bias_input.py"),
    "hardware/ir/synapses/geometry.py": ("tests/hardware/ir/test_synapses.py",),
    "hardware/overflow/bounds.py": ("tests/hardware/overflow/test_overflow.py",),
    "hardware/overflow/lif.py": ("tests/hardware/overflow/test_overflow.py",),
}
OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or, ast.Or: ast.And, ast.USub: ast.UAdd,
}  # fmt: skip
LONGEST_S = 120


def _sites(tree: ast.Module) -> list[tuple[int, int]]:
    """(index among all nodes, which of its operators) of everything that can be changed."""
    found = []
    for index, node in enumerate(ast.walk(tree)):
        if isinstance(node, (ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.AugAssign)) and type(node.op) in OPERATORS:
            found.append((index, 0))
        elif isinstance(node, ast.Compare):
            found += [(index, place) for place, operator in enumerate(node.ops) if type(operator) in OPERATORS]
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            found.append((index, 0))
    return found


def mutate(source: str, site: tuple[int, int]) -> tuple[str, str]:
    """Return the source with one change, and what was changed."""
    tree = copy.deepcopy(ast.parse(source))
    node = list(ast.walk(tree))[site[0]]
    before = ast.unparse(node)
    if isinstance(node, ast.Constant):
        node.value += 1  # type: ignore[operator]  # an int, as of _sites
    elif isinstance(node, ast.Compare):
        node.ops[site[1]] = OPERATORS[type(node.ops[site[1]])]()
    elif isinstance(node, (ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.AugAssign)):
        node.op = OPERATORS[type(node.op)]()
    return ast.unparse(tree), f"line {getattr(node, 'lineno', 0)}: {before} -> {ast.unparse(node)}"


def run(file: str, tree: Path) -> bool:
    """Whether the tests of a file pass with the sources of a tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": str(tree / "cache")}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", *FILES[file]]
    try:
        return subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=LONGEST_S).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def main() -> int:
    """Run a sample and print what came of it; returns 1 if less than 95 % were killed, 2 if the tests fail anyway."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sources = {file: (ROOT / file).read_text() for file in FILES}
    sites = [(file, site) for file, source in sources.items() for site in _sites(ast.parse(source))]
    chosen = random.Random(options.seed).sample(sites, min(options.sample, len(sites)))
    killed, survivors = 0, []
    with tempfile.TemporaryDirectory(prefix="snnfuse-mutants-") as folder:
        tree = Path(folder)
        shutil.copytree(ROOT / "snnfuse", tree / "snnfuse")
        shutil.copytree(ROOT / "tests", tree / "tests")
        shutil.copytree(ROOT / "tools", tree / "tools")
        shutil.copy(ROOT / "pyproject.toml", tree)  # whose pythonpath begins where pytest runs
        for room in ("export", "hardware"):
            shutil.copytree(ROOT / room, tree / "snnfuse" / room)
        for file in FILES:  # compiles what is compiled, so that no mutant is taken for slow
            if not run(file, tree):
                print(f"{file}: its tests fail, or take more than {LONGEST_S} s, before anything is changed", file=sys.stderr)
                return 2
        for number, (file, site) in enumerate(chosen, 1):
            changed, what = mutate(sources[file], site)
            (tree / "snnfuse" / file).write_text(changed)
            if run(file, tree):
                survivors.append(f"{file}, {what}")
                print(f"survived: {survivors[-1]}", flush=True)
            else:
                killed += 1
            (tree / "snnfuse" / file).write_text(sources[file])
            print(f"{number} of {len(chosen)} (of {len(sites)} sites): {killed} killed", flush=True)
    return int(killed < 0.95 * len(chosen))


if __name__ == "__main__":
    sys.exit(main())
