"""Write docs/proven.md from docs/proven.yml, the one list of what is proven and by which command.

python tools/proven.py            # writes the page
python tools/proven.py --check    # exits 1 where the page is another one
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).resolve().parents[1] / "docs"
SOURCE, PAGE = DOCS / "proven.yml", DOCS / "proven.md"
HEAD = """# What is proven, and by which command

Each row can be measured again by the command beside it, from the root of the repository; `python` and `pytest` are those of `.venv/bin`.
Rows about digits and Braille read their data from `../shared/data`, `$SNNFUSE_DATA` or `--data-dir`; [Data sets](data.md) says what must
lie there. Accuracy is the output with most spikes, ties to the lowest index, on the stated number of samples.

**Simulated, never deployed.** No Loihi 2 board was available: nothing here has run on a chip. Lava's fixed-point CPU models are what
"Loihi 2" means in this project, and one public trace of a real chip, of a single neuron, is reproduced. `run_on_board.py` is tested with
a stand-in for Intel's private package only. Energy and time are modelled, and always a range. Core counts are predicted from the limits
of [the chip model](chip.md), each with its source and status. The speech of av-digits is synthetic.
"""


def read() -> list[dict[str, Any]]:
    """The sections: each has a title, and rows of key, claim, figure and command."""
    return yaml.safe_load(SOURCE.read_text(encoding="utf-8"))


def page() -> str:
    """The page's text."""
    parts = [HEAD]
    for section in read():
        rows = [f"| {row['claim']} | {row['figure']} | `{row['command']}` |" for row in section["rows"]]
        parts.append("\n".join([f"\n## {section['title']}\n", "| claim | figure | command |", "|---|---|---|", *rows, ""]))
    return "".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the page is another one")
    if parser.parse_args().check:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
