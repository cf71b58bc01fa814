"""A build for fuzzing: SNNFUSE_EMULATOR_BOUNDSCHECK=1, set before the first run, has compiled code check every index.

It is compiled apart from the usual one, and is several times slower. An index out of its array is an IndexError.
"""

import os

BOUNDS_CHECKED = os.environ.get("SNNFUSE_EMULATOR_BOUNDSCHECK", "") not in ("", "0")
