"""Check the contracts of pyproject.toml that say who may import whom, with import-linter.

    python tools/check_imports.py

Exits with import-linter's code, 1 where a contract is broken. Imports inside functions count; imports for type checkers alone do not.
"""

import os
import sys
from pathlib import Path

from importlinter.cli import lint_imports
from source_tree import ROOT, TREE, link_sources


def check_imports(root: Path = ROOT, tree: Path = TREE) -> int:
    """Check the sources below `root`; return 0 if every contract is kept."""
    os.chdir(link_sources(root, tree))  # import-linter looks for packages in the working directory first
    return lint_imports(config_filename=str(root / "pyproject.toml"), no_cache=True, no_logo=True)


if __name__ == "__main__":
    sys.exit(check_imports(*map(Path, sys.argv[1:])))
