"""`python -m snnfuse`: the command of this environment's Python, whatever PATH says."""

from snnfuse.cli import main

if __name__ == "__main__":
    main()
