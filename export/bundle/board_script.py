"""`run_on_board.py`, the script in every bundle for target loihi2: one step for someone with a board."""

RUN_ON_BOARD = "run_on_board.py"

SCRIPT = '''"""Run this bundle's golden inputs on a Loihi 2 board and compare the spikes: python run_on_board.py [--help]

Needs snnfuse, and for a board Intel's lava-loihi; without that, the CPU runs in its place, and the output says so. It was written without
a board and has never run on one. Ends 0 if every spike is equal, 1 if not, 6 if something is missing here.
"""

import sys
from pathlib import Path

try:
    from snnfuse.cli import board_main
except ImportError as error:
    print(f"error: snnfuse cannot be imported by {sys.executable} ({error}); install it for this Python", file=sys.stderr)
    sys.exit(6)

if __name__ == "__main__":
    sys.exit(board_main(str(Path(__file__).resolve().parent)))
'''
