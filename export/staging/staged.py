"""Networks in stages: a float graph per stage, what is carried between them, and their way to a pipeline of programs.

A stage is rounded like any network. What calibrates it are the calibration data and what the float stages before it carry on them, so
that errors of earlier stages are not fitted; what the host carries exactly, counts and means, is declared so that nothing rounds it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import nir
import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import FloatRun, simulate
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.export.quantization.fitting import Input
from snnfuse.export.quantization.quantize_network import Quantized, quantize_measured
from snnfuse.export.quantization.settings import QuantizationSettings
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, MESSAGE_BITS, WEIGHT_BITS
from snnfuse.hardware.ir.host_steps import Normalise, carry
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.ir.nodes import GradedInput
from snnfuse.hardware.ir.pipeline import Link, Pipeline
from snnfuse.hardware.ledger import LedgerEntry

WHOLE = 1e-6  # how far float sums of spikes may be from a whole number
REDUCED = {"count": "its spikes are counted over the window", "mean": "it is averaged over the window", "steps": "every step is read"}


@dataclass(frozen=True, eq=False)
class StagedGraph:
    """A float network in stages.

    Attributes:
        stages: a graph each, whose inputs carry the names of the network's inputs or of links.
        links: what the host carries; `output` names an Output of the stage's graph.
    """

    stages: tuple[nir.NIRGraph, ...]
    links: tuple[Link, ...]


@dataclass(frozen=True, eq=False)
class StageRun:
    """A stage of the float network, what it was fed, float (time, batch, *shape) by input, and what it did."""

    network: Network
    inputs: Mapping[str, NDArray]
    run: FloatRun


@dataclass(frozen=True, eq=False)
class QuantizedStages:
    """A pipeline, and what is known of each stage's making.

    Attributes:
        pipeline: the programs, whose ledgers say what the host computes for them.
        stages: by stage, as of `quantize_measured`.
        float_runs: the float network on the calibration data.
    """

    pipeline: Pipeline
    stages: tuple[Quantized, ...]
    float_runs: tuple[StageRun, ...]


def simulate_staged(staged: StagedGraph, inputs: Mapping[str, NDArray], dt: float | None = None) -> tuple[StageRun, ...]:
    """Run the float network, stage by stage.

    Args:
        staged: the graphs.
        inputs: the network's, float (time, batch, *shape) by name.
        dt: seconds per step, as for `lower`.

    Raises:
        InputError, UnsupportedError: as of `lower`; InputError for an input that is missing.
    """
    runs: tuple[StageRun, ...] = ()
    for graph in staged.stages:
        network = lower(graph, dt)
        fed = {name: _value(staged, name, shape, inputs, runs) for name, shape in network.inputs.items()}
        runs = (*runs, StageRun(network, fed, simulate(network, fed)))
    return runs


def _value(
    staged: StagedGraph, name: str, shape: tuple[int, ...], inputs: Mapping[str, NDArray], runs: tuple[StageRun, ...]
) -> NDArray:
    """What a stage's input is fed."""
    link = next((link for link in staged.links if link.name == name), None)
    if link is None and name not in inputs:
        raise InputError(f"no array {name!r}; the network's inputs are {', '.join(network_inputs(staged))}")
    return inputs[name] if link is None else carried(link, runs).reshape(*next(iter(inputs.values())).shape[:2], *shape)


def carried(link: Link, runs: tuple[StageRun, ...]) -> NDArray[np.float64]:
    """The float value of a link on every step."""
    source = runs[link.stage]
    node = source.network.outputs[link.output]
    is_readout = source.network.populations[node].is_readout
    return carry(link.reduction, link.steps, (source.run.v if is_readout else source.run.spikes)[node])


def network_inputs(staged: StagedGraph) -> tuple[str, ...]:
    """The names of the network's own inputs."""
    linked = {link.name for link in staged.links}
    names = (name for graph in staged.stages for name, node in graph.nodes.items() if isinstance(node, nir.Input))
    return tuple(dict.fromkeys(name for name in names if name not in linked))


def quantize_staged(
    staged: StagedGraph,
    calibration: Mapping[str, NDArray],
    *,
    dt: float | None = None,
    reset: Reset | None = None,
    weight_bits: int = WEIGHT_BITS,
    input_bits: int = 12,
    max_groups: int = 2,
) -> QuantizedStages:
    """A program per stage; arguments, warnings and errors as of `snnfuse.export.quantize`, calibration by input of the network."""
    runs = simulate_staged(staged, calibration, dt)
    settings = QuantizationSettings(dt, reset, weight_bits, input_bits, max_groups)
    declared: dict[str, Input] = {}
    stages: tuple[Quantized, ...] = ()
    for graph, run in zip(staged.stages, runs):
        links = [link for link in staged.links if link.name in run.inputs]
        exact = {link.name: node for link in links if (node := declare(link, run, input_bits, staged, runs)) is not None}
        found = quantize_measured(graph, run.inputs, settings, declared=declared | exact)
        declared |= found.program.inputs  # an input that two stages read is encoded once
        entries = [_entry(link, run) for link in links]
        stages = (*stages, replace(found, program=found.program.with_ledger(*entries)))
    links = tuple(_with_unit(link, stages, runs) for link in staged.links)
    return QuantizedStages(Pipeline(tuple(stage.program for stage in stages), links), stages, runs)


def declare(link: Link, reader: StageRun, input_bits: int, staged: StagedGraph, runs: tuple[StageRun, ...]) -> Input | None:
    """How a carried value enters the stage that reads it, where its range or its unit is known; None leaves both to the data.

    Counts of T steps are 0 .. T in units of 1, means in units of 1 / T: exact. So are sums of layers' spikes, which a readout's voltage
    holds, where all of the data are whole; what they reach beyond the data is not known. What was normalised to a length reaches that.
    """
    source = runs[link.stage].network
    shape, time = reader.network.inputs[link.name], next(iter(reader.inputs.values())).shape[0]
    if link.steps:
        return GradedInput(shape, input_bits, link.steps[-1].scale / (2 ** (input_bits - 1) - 1))
    unit = 1.0 / time if link.reduction == "mean" else 1.0
    if source.populations[source.outputs[link.output]].is_readout:
        bits = _bits_of_whole(reader.inputs[link.name] / unit, input_bits)
    else:
        bits = None if link.reduction == "steps" else max(2, time.bit_length() + 1)
    return None if bits is None or bits > MESSAGE_BITS else GradedInput(shape, bits, unit)


def _bits_of_whole(values: NDArray, least: int) -> int | None:
    """Bits that hold twice the largest of whole numbers, `least` or more; None where they are not whole, or all 0."""
    whole = np.rint(values)
    if not whole.any() or not np.allclose(values, whole, rtol=0, atol=WHOLE):
        return None
    return max(least, int(np.abs(whole).max()).bit_length() + 2)


def _entry(link: Link, run: StageRun) -> LedgerEntry:
    time = next(iter(run.inputs.values())).shape[0]
    steps = "".join(f", {describe(step)}" for step in link.steps)
    change = f"the host computes it from stage {link.stage + 1}: {REDUCED[link.reduction]} of {time} steps{steps}; exact between parts"
    return LedgerEntry(link.name, change, "it needs what no synapse computes, or all steps of the part before, so that part runs first")


def describe(step: Normalise) -> str:
    """A host step in words."""
    return f"L2 normalised to length {step.scale:g}"


def _with_unit(link: Link, stages: tuple[Quantized, ...], runs: tuple[StageRun, ...]) -> Link:
    """The link with the value of a voltage's unit, where it reads voltages."""
    node = runs[link.stage].network.outputs[link.output]
    if not runs[link.stage].network.populations[node].is_readout:
        return link
    scale = next(layer.scale for layer in stages[link.stage].layers if layer.node == node)
    return replace(link, unit=1.0 / (scale * (1 << ALIGN_BITS)))
