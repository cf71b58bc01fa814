"""`snnfuse replay`: does a case that a test saved still fail?"""

from pathlib import Path
from typing import Any

import click

from snnfuse.commands.console import PATH, Console, json_option
from snnfuse.commands.running import BackendName


@click.command()
@click.argument("case", type=PATH)
@click.option("--backend", type=BackendName(), help="Run it on another backend than the one that failed.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Longest that Lava may take.")
@json_option
def replay(case: Path, backend: str | None, timeout: float | None, json_to: str | None, quiet: bool) -> int:
    """Check again what a test claimed and found wrong, from the folder CASE that it saved.

    Ends PASSED, or FAILED with what is still wrong (exit 1).
    """
    from snnfuse.hardware.errors import VerificationError

    console = Console(json_to, quiet, (case,))
    with console.result() as result:
        result.update(run_case(case, backend, timeout, console))
    console.say("PASSED" if result["passed"] else "FAILED")
    return 0 if result["passed"] else VerificationError.exit_code


def run_case(folder: Path, backend: str | None, timeout: float | None, console: Console) -> dict[str, Any]:
    """Read a case, ask it for its problem, and print that."""
    from snnfuse.hardware.errors import InputError
    from snnfuse.testing.cases import Fits, on_backend
    from snnfuse.testing.storing import LACKS, UNHASHED, is_hashed, read_case

    case = read_case(folder)
    if not is_hashed(folder):
        console.say(f"of format version {UNHASHED}, of which this is not checked: {LACKS}")
    if isinstance(case, Fits) and backend is not None:
        raise InputError(f"{folder}: a case about the board {case.board} runs on no backend; leave --backend out")
    case = on_backend(case, backend)
    with console.step("replaying"):
        problem = case.problem(timeout)
    if problem:
        console.say(problem)
    return {"case": str(folder), "passed": problem is None, "problem": problem}
