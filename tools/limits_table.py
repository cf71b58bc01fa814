"""Write the table of limits into SECURITY.md from the one place that holds them: python tools/limits_table.py."""

import sys
from pathlib import Path

from snnfuse.hardware.limits import FILE_LIMITS, shown

ROOT = Path(__file__).resolve().parents[1]
START, END = "<!-- limits: made by tools/limits_table.py -->\n", "<!-- end of limits -->"


def table() -> str:
    """Return the limits as Markdown."""
    rows = [f"| `{name}` | {known.what} | {shown(known.value, known)} |" for name, known in FILE_LIMITS.items()]
    return "\n".join(["| name | how much one file may ask for | default |", "|---|---|---|", *rows]) + "\n"


def with_table(page: str) -> str:
    """Return a page with the table in its place."""
    before, _, rest = page.partition(START)
    return before + START + table() + END + rest.partition(END)[2]


def main() -> int:
    """Rewrite the page; returns 0."""
    page = ROOT / "SECURITY.md"
    page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
