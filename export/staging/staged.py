"""Networks in stages: a float graph per stage, what is carried between them, and their way to a pipeline of programs.

A stage is rounded like any network. What calibrates it are the calibration data and what the float stages before it carry on them, so
that errors of earlier stages are not fitted; what the host carries exactly, counts and means, is declared so that nothing rounds it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import nir
import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import FloatRun, simulate
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.export.lowering.outputs import output_values
from snnfuse.export.quantization.fitting import Input
from snnfuse.export.quantization.output_search import Repair
from snnfuse.export.quantization.quantize_network import Quantized, quantize_measured
from snnfuse.export.quantization.settings import DEFAULTS, QuantizationSettings
from snnfuse.export.targets import LAVA, Target
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, MESSAGE_BITS
from snnfuse.hardware.ir.host_steps import carry
from snnfuse.hardware.ir.nodes import GradedInput
from snnfuse.hardware.ir.pipeline import Link, Pipeline
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ledger import LedgerEntry

WHOLE = 1e-6  # how far float sums of spikes may be from a whole number


@dataclass(frozen=True, eq=False)
class StagedGraph:
    """A float network in stages; of one stage where nothing needs a host.

    Attributes:
        stages: a graph each, whose inputs carry the names of the network's inputs or of links.
        links: what the host carries; `output` names an Output of the stage's graph.
    """

    stages: tuple[nir.NIRGraph, ...]
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, eq=False)
class StageRun:
    """A stage of the float network, what it was fed, float (time, batch, *shape) by input, and what it did."""

    network: Network
    inputs: Mapping[str, NDArray]
    run: FloatRun


@dataclass(frozen=True, eq=False)
class Fed:
    """What a stage is made from.

    Attributes:
        graph: its float graph.
        links: what it reads of other stages.
        inputs: calibration data and what the float stages before it carry on them, float (time, batch, *shape) by input.
        declared: of what is carried, inputs whose range or unit is known.
    """

    graph: nir.NIRGraph
    links: tuple[Link, ...]
    inputs: Mapping[str, NDArray]
    declared: Mapping[str, Input]

    def with_entries(self, found: Quantized) -> Quantized:
        """The program with what the host computes for it in its ledger."""
        time = next(iter(self.inputs.values())).shape[0]
        return replace(found, program=found.program.with_ledger(*(_entry(link, time) for link in self.links)))


@dataclass(frozen=True, eq=False)
class QuantizedStages:
    """A pipeline, and what is known of each stage's making.

    Attributes:
        pipeline: the programs, whose ledgers say what the host computes for them.
        stages: by stage, as of `quantize_measured`.
    """

    pipeline: Pipeline
    stages: tuple[Quantized, ...]


def lower_stages(staged: StagedGraph, dt: float | None = None) -> tuple[Network, ...]:
    """Every stage lowered; arguments and errors as of `lower`."""
    return tuple(lower(graph, dt) for graph in staged.stages)


def simulate_staged(
    staged: StagedGraph, inputs: Mapping[str, NDArray], dt: float | None = None, networks: tuple[Network, ...] | None = None
) -> tuple[StageRun, ...]:
    """Run the float network, stage by stage.

    Args:
        staged: the graphs.
        inputs: the network's, float (time, batch, *shape) by name.
        dt: seconds per step, as for `lower`.
        networks: the stages as of `lower_stages`, where they are known already.

    Raises:
        InputError, UnsupportedError: as of `lower`; InputError for an input that is missing.
    """
    runs: tuple[StageRun, ...] = ()
    for network in lower_stages(staged, dt) if networks is None else networks:
        fed = _fed(staged, network, inputs, runs)
        runs = (*runs, StageRun(network, fed, simulate(network, fed)))
    return runs


def _fed(staged: StagedGraph, network: Network, inputs: Mapping[str, NDArray], runs: tuple[StageRun, ...]) -> dict[str, NDArray]:
    return {name: _value(staged, name, shape, inputs, runs) for name, shape in network.inputs.items()}


def _value(staged: StagedGraph, name: str, shape: tuple[int, ...], inputs: Mapping[str, NDArray], runs: tuple[StageRun, ...]) -> NDArray:
    """What a stage's input is fed."""
    link = next((link for link in staged.links if link.name == name), None)
    if link is None and name not in inputs:
        raise InputError(f"no array {name!r}; the network's inputs are {', '.join(network_inputs(staged))}")
    return inputs[name] if link is None else carried(link, runs).reshape(*next(iter(inputs.values())).shape[:2], *shape)


def carried(link: Link, runs: tuple[StageRun, ...]) -> NDArray[np.float64]:
    """The float value of a link on every step."""
    source = runs[link.stage]
    return carry(link.reduction, link.steps, output_values(source.network, source.run, link.output))


def network_inputs(staged: StagedGraph) -> tuple[str, ...]:
    """The names of the network's own inputs."""
    linked = {link.name for link in staged.links}
    names = (name for graph in staged.stages for name, node in graph.nodes.items() if isinstance(node, nir.Input))
    return tuple(dict.fromkeys(name for name in names if name not in linked))


def feed_stages(staged: StagedGraph, calibration: Mapping[str, NDArray], settings: QuantizationSettings, target: Target) -> Iterator[Fed]:
    """What each stage is made from, one after the other; arguments and errors as of `quantize_staged`."""
    runs: tuple[StageRun, ...] = ()
    input_bits = min(settings.payload_bits, target.payload_bits)
    for number, (graph, network) in enumerate(zip(staged.stages, lower_stages(staged, settings.dt))):
        fed = _fed(staged, network, calibration, runs)
        links = tuple(link for link in staged.links if link.name in fed)
        known = {link.name: node for link in links if (node := declare(link, network, fed, input_bits, runs)) is not None}
        yield Fed(graph, links, fed, known)
        if any(link.stage >= number for link in staged.links):
            runs = (*runs, StageRun(network, fed, simulate(network, fed)))


def named_in(staged: StagedGraph, number: int, settings: QuantizationSettings) -> QuantizationSettings:
    """The settings of one stage, without bits of layers that only other stages have."""
    if not isinstance(settings.weight_bits, Mapping):
        return settings
    elsewhere = {name for graph in staged.stages for name in graph.nodes} - staged.stages[number].nodes.keys()
    return replace(settings, weight_bits={name: width for name, width in settings.weight_bits.items() if name not in elsewhere})


def quantize_staged(
    staged: StagedGraph,
    calibration: Mapping[str, NDArray],
    settings: QuantizationSettings = DEFAULTS,
    target: Target = LAVA,
    repair: Repair | None = None,
) -> QuantizedStages:
    """A program per stage; arguments, warnings and errors as of `quantize_measured`, calibration by input of the network, and
    `weight_bits` by layer of any stage."""
    declared: dict[str, Input] = {}
    stages: list[Quantized] = []
    for fed in feed_stages(staged, calibration, settings, target):
        chosen = named_in(staged, len(stages), settings if len(stages) + 1 == len(staged.stages) else settings.of_earlier_stage)
        found = quantize_measured(fed.graph, fed.inputs, chosen, target, {**declared, **fed.declared}, repair=repair)
        declared |= found.program.inputs  # an input that two stages read is encoded once
        stages.append(fed.with_entries(found))
    scales = [{layer.node: layer.scale for layer in stage.layers} for stage in stages]
    return QuantizedStages(wire(staged.links, tuple(stage.program for stage in stages), scales), tuple(stages))


def wire(links: tuple[Link, ...], programs: tuple[Program, ...], scales: Sequence[Mapping[str, float]]) -> Pipeline:
    """Programs as a pipeline, whose links know the value of a voltage's unit.

    Args:
        links: of the float network.
        programs: by stage.
        scales: of each stage, by population, what one unit of the float voltage is in integers.
    """
    return Pipeline(programs, tuple(_with_unit(link, programs[link.stage], scales[link.stage]) for link in links))


def _with_unit(link: Link, program: Program, scales: Mapping[str, float]) -> Link:
    output = program.outputs[link.output]
    return replace(link, unit=1.0 / (scales[output.node] * (1 << ALIGN_BITS))) if output.reads_membrane else link


def declare(link: Link, reader: Network, fed: Mapping[str, NDArray], input_bits: int, runs: tuple[StageRun, ...]) -> Input | None:
    """How a carried value enters the stage that reads it, where its range or its unit is known; None leaves both to the data.

    Counts of T steps are 0 .. T in units of 1, means in units of 1 / T: exact. So are sums of layers' spikes, which a readout's voltage
    holds, where all of the data are whole; what they reach beyond the data is not known. What was normalised to a length reaches that.
    """
    source = runs[link.stage].network
    shape, time = reader.inputs[link.name], len(fed[link.name])
    if link.steps:
        return GradedInput(shape, input_bits, link.steps[-1].scale / (2 ** (input_bits - 1) - 1))
    unit = 1.0 / time if link.reduction == "mean" else 1.0
    if link.output in source.membranes:
        bits = _bits_of_whole(fed[link.name] / unit, input_bits)
    else:
        bits = None if link.reduction == "steps" else max(2, time.bit_length() + 1)
    return None if bits is None or bits > MESSAGE_BITS else GradedInput(shape, bits, unit)


def _bits_of_whole(values: NDArray, least: int) -> int | None:
    """Bits that hold twice the largest of whole numbers, `least` or more; None where they are not whole, or all 0."""
    whole = np.rint(values)
    if not whole.any() or not np.allclose(values, whole, rtol=0, atol=WHOLE):
        return None
    return max(least, int(np.abs(whole).max()).bit_length() + 2)


def _entry(link: Link, time: int) -> LedgerEntry:
    change = f"the host computes it from stage {link.stage + 1}: {link.describe(f' of {time} steps')}; exact between parts"
    return LedgerEntry(link.name, change, "it needs what no synapse computes, or all steps of the part before, so that part runs first")
