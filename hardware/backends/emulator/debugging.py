"""A build for fuzzing: SNNFUSE_EMULATOR_BOUNDSCHECK=1, set before the first run, has compiled code check every index.

It is compiled apart from the usual one, and is several times slower. An index out of its array is an IndexError.
"""

import os
import sys
from collections.abc import Callable

BOUNDS_CHECKED = os.environ.get("SNNFUSE_EMULATOR_BOUNDSCHECK", "") not in ("", "0")


def raising(run: Callable) -> Callable:
    """The kernel with the errors of what it calls by address: C functions hand theirs to `sys.unraisablehook` and go on."""

    def call(*args):
        errors, before = [], sys.unraisablehook
        sys.unraisablehook = lambda found: errors.append(found.exc_value)
        try:
            result = run(*args)
        finally:
            sys.unraisablehook = before
        if errors:
            raise errors[0]
        return result

    return call
