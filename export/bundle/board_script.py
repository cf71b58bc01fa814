"""`run_on_board.py`, the script in every bundle for target loihi2: one step for someone with a board."""

RUN_ON_BOARD = "run_on_board.py"

SCRIPT = '''"""Run this bundle's golden inputs on a Loihi 2 board and compare the spikes: python run_on_board.py [--help]

Needs snnfuse, and for a board Intel's lava-loihi; without that, the CPU runs in its place, and the output says so. It was written without
a board and has never run on one. Ends 0 if every spike is equal, 1 if not, 6 if something is missing here.
"""

import os  # like sys, loaded when Python starts, so that it is not searched for
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:] = [place for place in sys.path if os.path.realpath(place or ".") != HERE]  # nothing in this folder is to be imported

try:
    from snnfuse.cli import board_main
except ImportError as error:
    print(f"error: snnfuse cannot be imported by {sys.executable} ({error}); install it for this Python", file=sys.stderr)
    sys.exit(6)

if __name__ == "__main__":
    sys.exit(board_main(HERE))
'''

OLDER_SCRIPTS = ("d5799821841d1e1daa52c6b48113334b9f4bd68c53e300e273791c9af5c8d69d",)
"""sha256 of what snnfuse 0.1.0 wrote, which looked for modules in its own folder first."""
