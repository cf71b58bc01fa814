"""`--timings`: where the seconds of an export and of a verification go."""

import json
import time
from pathlib import Path

import pytest
from cli_calls import FOR, Cli

from snnfuse.commands.console import Console
from snnfuse.commands.timings import Clock, describe_timings


def test_a_step_that_waits_takes_seconds_and_no_processor() -> None:
    console = Console(quiet=True)
    with console.step("waiting"):
        time.sleep(0.1)
    with pytest.raises(ZeroDivisionError), console.step("failing"):
        _ = 1 / 0
    waiting, failing = console.spent
    assert waiting.seconds >= 0.08 and waiting.processor < 0.08 and failing.step == "failing"
    clock, start = Clock(), time.process_time()
    while time.process_time() - start < 0.1:
        pass
    assert clock.spent("working").processor >= 0.08
    assert "waiting" in describe_timings(console.spent) and "starting and printing" in describe_timings(console.spent)


def test_export_and_verify_say_where_the_seconds_went(snn: Cli, graph: Path, calib: Path, lava: None) -> None:
    done = snn("export", graph, *FOR, "-o", "b", "--timings", "--json", "-")
    assert done.code == 0, done.err
    steps = [each["step"] for each in json.loads(done.out)["timings"]]
    assert steps[0] == "loading" and {"choosing integers", "proving that nothing overflows", "writing the bundle"} <= set(steps)
    assert all(step in done.err for step in steps) and "processor seconds" in done.err
    checked = snn("verify", "b", "--timings", "--json", "-")
    assert checked.code == 0 and "reading and checking the bundle" in checked.err and json.loads(checked.out)["timings"]
    assert "timings" not in json.loads(snn("verify", "b", "--json", "-").out)
