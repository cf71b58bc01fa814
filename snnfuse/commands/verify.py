"""`snnfuse verify`: is a bundle what was exported, and does its program still do what it did?"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option
from snnfuse.commands.timings import describe_timings, timings_json, timings_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from snnfuse.export.bundle.bundle import Bundle
    from snnfuse.hardware.backends.verify import Check


VERDICTS = {True: "PASSED", False: "FAILED", None: "NOT RUN: only manifest and hashes were checked, and they are as written"}


@click.command()
@click.argument("bundle", type=PATH)
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Longest that Lava may take.")
@timings_option
@json_option
def verify(bundle: Path, timeout: float | None, timings: bool, json_to: str | None, quiet: bool) -> int:
    """Check BUNDLE's hashes and manifest, then rerun its golden inputs on the emulator and on Lava and compare every spike.

    What came of it, and when, is written into the bundle, as verified.json, for snnfuse report to say.
    Ends PASSED or FAILED (exit 1), or, of a bundle without a program, with what was checked of it alone. Without Lava nothing is
    verified: exit 6.
    """
    from snnfuse.hardware.errors import VerificationError

    console = Console(json_to, quiet, (bundle,))
    with console.result() as result:
        try:
            result.update(run_checks(bundle, timeout, console))
            if timings:
                result["timings"] = timings_json(console.spent)
                console.say(describe_timings(console.spent))
        except VerificationError as error:
            result.update(passed=False, problem=str(error))
            console.say(f"{error}\nFAILED")
            return error.exit_code
    console.say(VERDICTS[result["passed"]])
    return VerificationError.exit_code if result["passed"] is False else 0


def run_checks(path: Path, timeout: float | None, console: Console) -> dict[str, Any]:
    """Run and print every check; returns what they came to."""
    from snnfuse.export.bundle.bundle import read_bundle
    from snnfuse.export.bundle.consistency import check_consistency
    from snnfuse.export.targets import find_target
    from snnfuse.hardware.backends.verify import verify as verify_pipeline

    with console.step("reading and checking the bundle"):
        bundle = read_bundle(path)
        check_consistency(bundle)
    stages = f", in {len(bundle.stages)} stages" if bundle.is_staged else ""
    console.say(f"hashes: {len(bundle.manifest['files'])} files as they were written{stages}")
    for check in bundle.lacks:
        console.say(f"of format version {bundle.manifest['format_version']}, of which this is not checked: {check}")
    if not find_target(bundle.manifest["target"]).has_program:
        console.say("this bundle holds a graph only, and no program to run")
        return {"passed": None, "checks": []}
    checks = []
    for check in as_they_end(verify_pipeline(bundle.pipeline, bundle.recordings, timeout=timeout), console):
        console.say(describe(check))
        checks.append(check)
    if stages:
        console.say("host: every stage was fed what the host carries there")
    found = {"passed": all(check.passed for check in checks), "checks": [figures(check) for check in checks]}
    return found | {"recorded": recorded(bundle, found, console)}


def recorded(bundle: "Bundle", found: dict[str, Any], console: Console) -> str | None:
    """Write into the bundle what came of it, for `snnfuse report`; None, with a note, where that cannot be."""
    from snnfuse.export.bundle.verification import record_verification
    from snnfuse.hardware.errors import InputError

    samples = next(iter(bundle.stages[0].events.values())).shape[1]
    try:
        return str(record_verification(bundle.path, found["passed"], samples, found["checks"]))
    except InputError as error:
        console.say(f"note: not recorded for snnfuse report: {error}")
        return None


def as_they_end(checks: "Iterator[Check]", console: Console) -> "Iterator[Check]":
    """The checks one by one; a missing Lava is an error only where nothing has failed already."""
    from snnfuse.hardware.errors import EnvironmentProblem

    failed = False
    while True:
        try:
            with console.step("running golden inputs"):
                check = next(checks, None)
        except EnvironmentProblem as error:
            if not failed:
                raise
            console.say(f"{error}")
            return
        if check is None:
            return
        failed |= not check.passed
        yield check


def describe(check: "Check") -> str:
    """A line, and another for the first difference."""
    parts = (f"{wrong} of {compared} {name} differ" for name, (compared, wrong) in check.comparison.by_variable.items())
    line = f"{check.backend}: {', '.join(parts)} ({check.seconds:.1f} s)"
    return line if check.passed else f"{line}\n  first: {check.comparison.first}"


def figures(check: "Check") -> dict[str, Any]:
    """The same, JSON-able."""
    by_variable = {name: {"compared": compared, "mismatches": wrong} for name, (compared, wrong) in check.comparison.by_variable.items()}
    first = str(check.comparison.first) if check.comparison.first else None
    return {"backend": check.backend, "passed": check.passed, "seconds": check.seconds, "first": first, **by_variable}
