"""An emulator with a fault of its own: it flips a spike where the input neuron 0 fired two steps before, from step 5 on.

Tests install it in the process that runs a user's tests, and, as `sitecustomize`, in the one that replays what they saved.
"""

from dataclasses import replace

from snnfuse.hardware.backends import verify as verification
from snnfuse.hardware.backends.registry import Run, run_on

STEP, NODE, NEURON = 5, "b", 1


def run_with_fault(backend, program, events, *arguments, **options) -> Run:
    """`run_on`, but for the fault."""
    run = run_on(backend, program, events, *arguments, **options)
    if backend != "emulator" or len(events["in"]) <= STEP:
        return run
    spikes = {name: values.copy() for name, values in run.recording.spikes.items()}
    spikes[NODE][STEP, events["in"][STEP - 2, :, 0] == 1, NEURON] ^= True
    return replace(run, recording=replace(run.recording, spikes=spikes))


def install() -> None:
    """Put it in the emulator's place, for this process."""
    verification.run_on = run_with_fault
