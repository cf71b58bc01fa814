"""A user's own modules, which lie in the current folder more often than not."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def current_folder_importable(*others: str) -> Iterator[None]:
    """Let imports inside this block find modules of the current folder, as `python -m` does, and before that of other folders."""
    folders = [*others, os.getcwd()]
    sys.path[:0] = folders
    try:
        yield
    finally:
        for folder in folders:
            sys.path.remove(folder)
