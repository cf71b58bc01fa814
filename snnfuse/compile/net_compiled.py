"""A netx file to a program that is checked and measured like any other: it holds integers, so that nothing is calibrated."""

from pathlib import Path

import numpy as np

from snnfuse.compile.accuracy import check_labels
from snnfuse.compile.compiled import Compiled, golden_samples, with_energy
from snnfuse.data.samples import Samples
from snnfuse.hardware import Program, emulate
from snnfuse.hardware.chip import check_chip
from snnfuse.hardware.ledger import to_json

RANDOM_STEPS, RANDOM_SAMPLES, RANDOM_RATE = 100, 4, 0.2


def compile_net(
    path: str | Path,
    samples: Samples | None,
    *,
    target: str = "loihi2",
    dt: float | None = None,
    input_shape: tuple[int, ...] | None = None,
    board: str = "oheo-gulch",
) -> Compiled:
    """The program of a netx file, checked against the target, with golden vectors.

    Args:
        path: the file.
        samples: binary inputs (time, batch, *shape), the first of which become the golden vectors; None for random spikes.
        target: "loihi2", checked against the chip's limits, "lava" or "netx".
        dt, input_shape: as for `snnfuse.export.read_net`.
        board: as for `snnfuse.hardware.chip.check_chip`.

    Raises:
        InputError, UnsupportedError, DoesNotFitError: as those do; InputError for samples that are not binary or do not fit.
    """
    from snnfuse.export.netx import open_net

    program, differences = open_net(path, dt=dt, input_shape=input_shape)
    samples = random_spikes(program) if samples is None else samples.named(tuple(program.inputs))
    check_labels(program, samples)
    resources = check_chip(program, board) if target == "loihi2" else None
    events = program.encode(golden_samples(samples, program).inputs)
    golden = emulate(program, events, record="all")
    time, batch = next(iter(events.values())).shape[:2]
    about = {"source": samples.source, "samples": batch, "time_steps": time}
    figures = {"golden_vectors": about, "netx_differences": to_json(differences)}
    return with_energy(Compiled(None, program, target, resources, events, golden, figures))


def random_spikes(program: Program, seed: int = 0) -> Samples:
    """Inputs that any network takes: enough to compare backends, and no measure of accuracy."""
    rng = np.random.default_rng(seed)
    sizes = {name: (RANDOM_STEPS, RANDOM_SAMPLES, *node.shape) for name, node in program.inputs.items()}
    inputs = {name: (rng.random(size) < RANDOM_RATE).astype(np.int32) for name, size in sizes.items()}
    return Samples(inputs, None, f"random spikes, {RANDOM_RATE:g} per neuron and step")
