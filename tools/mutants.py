"""Change one operator or constant of the target's arithmetic at a time and ask the fast tests: python tools/mutants.py [--sample N].

What can be changed, and what is left out because it changes no result, is in `mutation_sites`. The tests run once with a tracer, which
finds those that execute each line; build/mutants.json keeps that until a file changes. For each mutant a process is then forked in which
the functions of its module have the changed code, and which runs the tests of the changed statement up to the first failure: those first
that failed for others of the file, then the quickest. What runs on import is changed before a process that has imported nothing of ours
imports it, and asked of every test, those first that run anything of the module, but of none that runs a compiled kernel: its machine
code keeps the value. That the same tests pass there with nothing changed is seen first. Ends with the share that the tests killed and
lists those that survived: a test that is missing, or a change that changes nothing, which tools/equivalent_mutants.json then names with
the reason and leaves out of the share.
"""

import argparse
import ast
import gc
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mutation_sites import ROOT, Site, functions_of, mutant, patch, replace, sites
from mutation_tests import Asked, Ended, Failed, Only, Ran, Tracer, fresh_interpreters, in_child, run_items, start

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
ROOMS = ("tests/hardware/ir", "tests/hardware/overflow", "tests/hardware/chip")
TESTS = (*ROOMS, "tests/hardware/test_dataclasses.py", "tests/hardware/backends/test_emulator.py")
TRACING_S = 1800
Fresh = Callable[[Any, float], Ended]


class Mutants:
    """The plugin of pytest that runs, in place of the tests, one traced round and then every mutant, each in a process of its own."""

    def __init__(self, chosen: Sequence[Site], fresh: Fresh) -> None:
        self.chosen, self.fresh = chosen, fresh
        self.items: dict[str, Any] = {}
        self.survivors: list[Site] = []
        self.passing: set[str] = set()

    def pytest_collection_finish(self, session: Any) -> None:
        self.items = {item.nodeid: item for item in session.items}

    def pytest_runtestloop(self, session: Any) -> bool:
        traced = ROOT / "build" / "mutants.json"
        traced.parent.mkdir(exist_ok=True)
        ended = in_child(lambda pipe: self.trace(session, traced), TRACING_S)
        if ended.code != 0:
            print(f"the tests ended with {ended.code} before anything was changed", file=sys.stderr, flush=True)
            os._exit(2)
        self.asked = Asked(
            {
                name: Ran(seconds, {file: set(lines) for file, lines in by_file.items()}, compiled)
                for name, (seconds, by_file, compiled) in json.loads(traced.read_text()).items()
            }
        )
        self.functions = functions_of(FILES)
        gc.freeze()
        left_out = sorted(set(self.items) - set(self.asked.ran))
        print(f"{len(self.items)} tests; left out, for they fail with a tracer: {', '.join(left_out) or 'none'}", flush=True)
        for number, site in enumerate(self.chosen, 1):
            if not self.is_killed(site):
                self.survivors.append(site)
                print(f"survived {'' if self.asked.of(site) else '(no test runs it) '}{site}", flush=True)
            if number % 10 == 0 or number == len(self.chosen):
                print(f"{number} of {len(self.chosen)}: {number - len(self.survivors)} killed", flush=True)
        return True

    def trace(self, session: Any, file: Path) -> int:
        """Run every test that is not recorded yet, and keep which lines those that pass ran."""
        tracer, known = Tracer(FILES), recorded(file)
        session.config.pluginmanager.register(tracer)
        run_items([item for name, item in self.items.items() if name not in known])
        found = {name: ran for name, ran in known.items() if name in self.items}
        for name, ran in tracer.ran.items():
            if name not in tracer.failed:
                found[name] = [ran.seconds, {f: sorted(lines) for f, lines in ran.lines.items()}, ran.compiled]
        file.write_text(json.dumps(found))
        return 0

    def is_killed(self, site: Site) -> bool:
        """Whether a test fails with the change, or does not end."""
        return any(self.is_killed_by(site, tests) for tests in self.asked.parts(self.asked.of(site)) if tests)

    def is_killed_by(self, site: Site, tests: Sequence[str]) -> bool:
        """The same of some tests."""
        ended = (
            in_child(lambda pipe: self.changed(site, tests, pipe), self.asked.seconds(tests)) if site.function else self.anew(site, tests)
        )
        if ended.code == 1 and ended.killer in self.items:
            self.asked.killed(site, ended.killer)
        return ended.code != 0

    def changed(self, site: Site, tests: Sequence[str], pipe: int) -> int:
        """In a forked process: run tests with the functions changed."""
        items = [self.items[test] for test in tests]
        items[0].config.pluginmanager.register(Failed(pipe))
        patch(site, self.functions[site.file])
        run_items(items)
        return 0

    def anew(self, site: Site, tests: Sequence[str]) -> Ended:
        """Run tests in a new interpreter that imports the changed module, once it is known that they pass there with it unchanged."""
        seconds = self.asked.seconds(tests) + 20  # of importing
        if not self.passing.issuperset(tests):
            ended = self.fresh([None, tests], seconds)
            if ended.code != 0:
                print(f"in a new process, tests of {site.file} fail unchanged, and kill nothing: {ended}", flush=True)
                return Ended(0, "")
            self.passing |= set(tests)
        return self.fresh([[site.file, site.index, site.place], tests], seconds)


def recorded(traced: Path) -> dict[str, list]:
    """What the tracer found of tests that were not written since; nothing where a file that is changed was."""
    if not traced.exists() or traced.stat().st_mtime < max((ROOT / file).stat().st_mtime for file in FILES):
        return {}
    found = json.loads(traced.read_text())
    return {name: ran for name, ran in found.items() if (ROOT / name.partition("::")[0]).stat().st_mtime < traced.stat().st_mtime}


def one(what: Any, pipe: int) -> int:
    """In a process that has imported nothing of ours: run tests, with a module's value changed before anything imports it."""
    change, tests = what
    if change is not None:
        file, index, place = change
        replace(file, mutant(Site(file, index, place, (), "", "")))
    return start(list(dict.fromkeys(test.partition("::")[0] for test in tests)), [Failed(pipe), Only(tests)])


def chosen_sites(options: argparse.Namespace) -> list[Site]:
    """What is tried; prints how many there are."""
    equivalent = json.loads(EQUIVALENT.read_text()) if EQUIVALENT.exists() else {}
    everything = [site for file in options.file or FILES for site in sites(file, ast.parse((ROOT / file).read_text()))]
    same = [site for site in everything if site.name in equivalent.get(site.file, {})]
    changing = [site for site in everything if site not in same]
    if options.again:
        survived = [line.partition(") " if "(no test" in line else "survived ")[2] for line in options.again.read_text().splitlines()]
        changing = [site for site in changing if f"{site.file} {site.name}" in {named(line) for line in survived if line}]
    sample = random.Random(options.seed).sample(changing, min(options.sample, len(changing)))
    print(f"{len(everything)} changes, of which {len(same)} are known to change nothing; {len(sample)} are tried", flush=True)
    return sample


def named(line: str) -> str:
    """A printed site without its line, which may have moved."""
    place, _, what = line.partition(" ")
    return f"{place.partition(':')[0]} {what.replace('(module)', '', 1)}"


def main() -> int:
    """Run a sample and print what came of it; returns 1 if less than 95 % were killed, 2 if the tests fail anyway."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", action="append", choices=FILES, help="of these only; all by default")
    parser.add_argument("--again", type=Path, help="those that an earlier run printed into this file as survivors")
    options = parser.parse_args()
    os.chdir(ROOT)
    os.environ |= {"OMP_NUM_THREADS": "1"}
    sample = chosen_sites(options)
    with fresh_interpreters(one) as fresh:
        plugin = Mutants(sample, fresh)
        if start([str(ROOT / test) for test in TESTS], [plugin]) != 0:
            return 2
    for file, number in Counter(site.file for site in plugin.survivors).most_common():
        print(f"{number} survived in {file}")
    return int(len(plugin.survivors) > 0.05 * len(sample))


if __name__ == "__main__":
    sys.exit(main())
