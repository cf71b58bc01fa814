"""python -m tests.fuzz FAMILY --minutes N: mutate files of a family, read each as a command would, and print what came of it.

Exit code 1 if anything was found; each finding is kept in out/fuzz/FAMILY. The same --seed gives the same cases.
"""

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "helpers")]
os.environ.setdefault("SNNFUSE_EMULATOR_BOUNDSCHECK", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")


def main() -> int:
    from tests.fuzz.engine import fuzz
    from tests.fuzz.families import FAMILIES

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("family", choices=[*FAMILIES, "all"])
    parser.add_argument("--minutes", type=float, default=1.0, help="for each family")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the first case: go on where another run ended")
    options = parser.parse_args()
    found = 0
    for name in FAMILIES if options.family == "all" else [options.family]:
        tally = fuzz(FAMILIES[name], 60 * options.minutes, options.seed, options.first)
        codes = ", ".join(f"{code}: {number}" for code, number in sorted(tally.codes.items()))
        print(
            f"{name}: {tally.executions} executions (exit codes {codes}), {tally.crashes} crashes, {tally.hangs} hangs, "
            f"{len(tally.findings)} findings; largest {tally.largest_kib / 1024:.0f} MiB (case {tally.largest_case}), "
            f"slowest {tally.slowest_s:.1f} s",
            flush=True,
        )
        for finding, where in tally.findings.items():
            print(f"  {finding} ({where})", flush=True)
        found += len(tally.findings)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
