"""Verification compares everything: a recording that leaves something out is refused, not passed."""

from dataclasses import replace

import numpy as np
import pytest

from snnfuse.hardware import Connection, Dense, Lif, Output, Program, Recording, SpikeInput, emulate
from snnfuse.hardware.backends import verify as verification
from snnfuse.hardware.backends.registry import Run
from snnfuse.hardware.errors import InputError, VerificationError

WEIGHTS = np.array([[2, 4, 6], [-2, 8, 10]], np.int32)
PROGRAM = Program(
    {"in": SpikeInput((3,)), "a": Lif((2,), 4095, 100, 3), "b": Lif((2,), 4095, 0, 9)},
    (Connection("in", "a", Dense(WEIGHTS)), Connection("a", "b", Dense(WEIGHTS[:, :2].copy()))),
    {"out": Output("b", "membrane_last")},
)
EVENTS = {"in": np.random.default_rng(0).integers(0, 2, (5, 2, 3)).astype(np.int32)}


def without(recording: Recording, node: str) -> Recording:
    """The recording with a node left out."""
    spikes = {name: values for name, values in recording.spikes.items() if name != node}
    return replace(recording, spikes=spikes, states={n: of for n, of in recording.states.items() if n != node})


@pytest.mark.parametrize("states", [False, True])
def test_what_was_recorded_is_compared(states: bool) -> None:
    (check,) = verification.verify(PROGRAM, [emulate(PROGRAM, EVENTS, "all", states)], ["emulator"])
    assert check.passed
    values = 5 * 2 * 2
    expected = (2 if states else 1) * values
    assert {name: n for name, (n, _) in check.comparison.by_variable.items()} == {"spikes": 2 * values, "u": expected, "v": expected}


@pytest.mark.parametrize("node", ["a", "b"])
def test_golden_vectors_that_leave_out_a_layer_are_refused(node: str) -> None:
    golden = without(emulate(PROGRAM, EVENTS, "all", True), node)
    with pytest.raises(InputError, match=f"the golden recording must hold every layer .* of {node}"):
        list(verification.verify(PROGRAM, [golden], ["emulator"]))


def test_a_backend_that_leaves_out_a_layer_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    golden = emulate(PROGRAM, EVENTS, "all")
    monkeypatch.setattr(verification, "run_on", lambda *args, **kwargs: Run(without(golden, "a"), 0.0))
    with pytest.raises(VerificationError, match="emulator must hold every layer .* differs in: spikes of a"):
        list(verification.verify(PROGRAM, [golden], ["emulator"]))
