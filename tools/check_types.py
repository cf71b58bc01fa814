"""Count pyright's errors by folder and compare them with what tools/type_errors.json allows: the counts may only fall.

    python tools/check_types.py             # exit 1 if a folder has more errors than it may, or fewer than the file says
    python tools/check_types.py --update    # write lower counts into the file; a higher one is refused

A folder that the file does not name may have none.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from source_tree import PLACES, ROOT, TREE, link_sources

ALLOWED = Path(__file__).with_name("type_errors.json")


def run_pyright(root: Path = ROOT, tree: Path = TREE) -> list[dict[str, Any]]:
    """Return pyright's errors on the sources below `root`, as its JSON output describes them.

    Raises:
        SystemExit: pyright itself failed.
    """
    link_sources(root, tree)
    command = [sys.executable, "-m", "pyright", "--project", str(root / "pyproject.toml"), "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"pyright failed with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    report = json.loads(done.stdout)
    if not report["summary"]["filesAnalyzed"]:
        raise SystemExit(f"pyright found no files below {tree}")
    return [error for error in report["generalDiagnostics"] if error["severity"] == "error"]


def source_path(file: str, tree: Path = TREE) -> str:
    """Return the source file, relative to the repository, that a link in the tree stands for."""
    parts = Path(file).relative_to(tree).parts
    folder = max((folder for folder, place in PLACES.items() if parts[: place.count("/") + 1] == tuple(place.split("/"))), key=_depth)
    return "/".join((folder, *parts[_depth(folder) :]))


def _depth(folder: str) -> int:
    return PLACES[folder].count("/") + 1


def count_by_folder(errors: list[dict[str, Any]], tree: Path = TREE) -> dict[str, int]:
    """Return the number of errors in each folder that has any, sorted by its path relative to the repository."""
    counts: dict[str, int] = {}
    for error in errors:
        folder = source_path(error["file"], tree).rpartition("/")[0]
        counts[folder] = counts.get(folder, 0) + 1
    return dict(sorted(counts.items()))


def find_rises(counts: Mapping[str, int], allowed: Mapping[str, int]) -> list[str]:
    """Return the folders with more errors than they may have."""
    return [folder for folder, count in counts.items() if count > allowed.get(folder, 0)]


def find_falls(counts: Mapping[str, int], allowed: Mapping[str, int]) -> list[str]:
    """Return the folders with fewer errors than they may have."""
    return [folder for folder, count in allowed.items() if count > counts.get(folder, 0)]


def describe_error(error: dict[str, Any], tree: Path = TREE) -> str:
    """Return `path:line: message (rule)` of one of pyright's errors, with the first line of its message."""
    place = f"{source_path(error['file'], tree)}:{error['range']['start']['line'] + 1}"
    return f"{place}: {error['message'].splitlines()[0]} ({error.get('rule', 'syntax')})"


def main(arguments: list[str]) -> int:
    """Compare, print what to do, and return the exit code."""
    errors, allowed = run_pyright(), json.loads(ALLOWED.read_text(encoding="utf-8"))
    counts = count_by_folder(errors)
    rises, falls = find_rises(counts, allowed), find_falls(counts, allowed)
    for folder in rises:
        print(f"{folder}: {counts[folder]} type errors, {allowed.get(folder, 0)} allowed; fix those that are new:")
        print(*(f"  {describe_error(error)}" for error in errors if source_path(error["file"]).rpartition("/")[0] == folder), sep="\n")
    if not rises and "--update" in arguments:
        ALLOWED.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
        falls = []
    for folder in falls:
        print(f"{folder}: {counts.get(folder, 0)} type errors, {allowed[folder]} allowed; keep it so: python tools/check_types.py --update")
    print(f"{sum(counts.values())} type errors in {len(counts)} folders")
    return 1 if rises or falls else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
