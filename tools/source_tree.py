"""Build one importable tree of the three source folders, for tools that read files instead of importing them.

`export/` and `hardware/` are imported as `snnfuse.export` and `snnfuse.hardware` (`package-dir` in pyproject.toml). An editable install
maps the names by an import hook, which import-linter and pyright do not run: they look for `snnfuse/export/`. The tree has that form:
real folders, whose files link to the sources. Links to folders would not do, as pyright does not follow them.
"""

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TREE = ROOT / "build" / "tree"
PLACES = {"snnfuse": "snnfuse", "export": "snnfuse/export", "hardware": "snnfuse/hardware"}


def link_sources(root: Path = ROOT, tree: Path = TREE) -> Path:
    """Make `tree` anew with a link to each source file below `root`.

    Returns:
        `tree`, the folder to put on a tool's search path.
    """
    shutil.rmtree(tree, ignore_errors=True)
    for folder, place in PLACES.items():
        for source in (root / folder).rglob("*"):
            if source.is_file() and "__pycache__" not in source.parts:
                link = tree / place / source.relative_to(root / folder)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(source)
    return tree


if __name__ == "__main__":
    sys.stdout.write(f"{link_sources()}\n")
