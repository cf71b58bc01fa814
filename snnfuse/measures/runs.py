"""Runs of a network over any number of samples, in blocks that fit into memory: what of them the measures need, float and deployed."""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware import Program, Recording, scores
from snnfuse.hardware.backends.run_pipeline import run_pipeline
from snnfuse.hardware.errors import InputError, SaturationWarning
from snnfuse.hardware.ir.encoding import decoded, saturated
from snnfuse.hardware.ir.pipeline import Pipeline, as_pipeline, layer_name

if TYPE_CHECKING:
    import nir
    from torch import nn

    from snnfuse.export.staging.staged import StagedGraph
    from snnfuse.hardware.chip import Board

Inputs = Mapping[str, NDArray]
BLOCK_BYTES = 1 << 26  # of one byte per spike; float runs hold a few numbers of 8 bytes for each


@dataclass(frozen=True, eq=False)
class Run:
    """What a run came to.

    Attributes:
        scores: (batch, *shape) of the only output; the highest, ties to the lowest index, is the class.
        counts: spikes of each layer over its window, (batch, *shape); graded ones count once.
    """

    scores: NDArray
    counts: Mapping[str, NDArray]

    def accuracy(self, labels: NDArray) -> float:
        """In [0, 1]."""
        return accuracy(self.scores, labels)

    @property
    def classes(self) -> NDArray[np.int64]:
        """(batch,)."""
        return self.scores.reshape(len(self.scores), -1).argmax(1)

    @property
    def spikes(self) -> dict[str, float]:
        """By layer, mean over samples."""
        return {name: float(counts.sum() / len(counts)) for name, counts in self.counts.items()}


def confusion(labels: NDArray, classes: NDArray) -> NDArray[np.int64]:
    """How many samples of each label (rows) were given each class (columns); square."""
    number = int(max(labels.max(initial=0), classes.max(initial=0))) + 1
    counts = np.zeros((number, number), np.int64)
    np.add.at(counts, (labels, classes), 1)
    return counts


def accuracy(values: NDArray, labels: NDArray) -> float:
    """Share of samples, in [0, 1], whose highest of `values` (batch, *shape), ties to the lowest index, is their label."""
    return float((values.reshape(len(values), -1).argmax(1) == labels).mean())


Runner = Callable[[Inputs], Run]


def of_floats(staged: "StagedGraph", program: Program | Pipeline) -> Runner:
    """Runs of a float network by NIR's equations, in float64, stage by stage, read as the programs made of it read; layers under
    `layer_name`.
    """
    from snnfuse.export.lowering.outputs import output_values, reading
    from snnfuse.export.staging.staged import lower_stages, simulate_staged

    pipeline = as_pipeline(program)
    name, last = _output(pipeline), pipeline.programs[-1]
    *earlier, network = lower_stages(staged, pipeline.programs[0].dt)
    networks, output = (*earlier, reading(network, {each: rule.reads_membrane for each, rule in last.outputs.items()})), last.outputs[name]

    def run(block: Inputs) -> Run:
        found = simulate_staged(staged, block, networks=networks)
        values = output_values(found[-1].network, found[-1].run, name)
        spikes = {layer_name(len(found), i, node): each for i, stage in enumerate(found) for node, each in stage.run.spikes.items()}
        return Run(decoded(output, values), {node: np.count_nonzero(each, 0) for node, each in spikes.items()})

    return _in_blocks(run, _neurons(pipeline))


def of_graph(graph: "nir.NIRGraph", program: Program) -> Runner:
    """`of_floats` of one graph."""
    from snnfuse.export.staging.staged import StagedGraph

    return of_floats(StagedGraph((graph,)), program)


def of_model(model: "nn.Module") -> Runner:
    """Runs of a torch network, step by step as it is defined, or in one call where it goes through time itself; read by spike count, layers
    under their modules' paths.
    """
    import snntorch
    import torch

    from snnfuse.networks import input_names
    from snnfuse.networks import run as through_time
    from snnfuse.networks.own_forms import read_output

    names = input_names(model)
    layers = {name: module for name, module in model.named_modules() if isinstance(module, snntorch.SpikingNeuron)}

    def run(block: Inputs) -> Run:
        counts: dict[str, NDArray] = {}

        def count(name: str, found: Any) -> None:
            spikes = found[0] if isinstance(found, tuple) else found  # of neurons that give their potentials too
            fired = np.count_nonzero(spikes.numpy()[None], 0)
            counts[name] = counts[name] + fired if name in counts else fired

        hooks = [m.register_forward_hook(lambda _, __, spikes, name=name: count(name, spikes)) for name, m in layers.items()]
        try:
            with torch.no_grad():
                given = {name: torch.from_numpy(np.ascontiguousarray(block[name])) for name in names}
                spikes: Any = read_output(model, through_time(model.eval(), *given.values()), given)
        finally:
            for hook in hooks:
                hook.remove()
        return Run(spikes.sum(0).numpy(), counts)

    return _in_blocks(run, 1 << 12)


@dataclass(frozen=True, eq=False)
class Deployed:
    """Runs of a program, or of several with a host between them, on the emulator.

    Attributes:
        program: the integers.
        board: that its layers are placed on, to model energy, each stage by itself; None: no energy.
    """

    program: Program | Pipeline
    board: "Board | str | None" = "oheo-gulch"

    @property
    def pipeline(self) -> Pipeline:
        """The program as a pipeline of one."""
        return as_pipeline(self.program)

    def __call__(self, inputs: Inputs) -> tuple[Run, dict[str, Any]]:
        """The run, and what else is known of it: `energy`, dynamic microjoules of an inference, [low, high] by model; and `saturated`, how
        many values of each input were cut at the payload's limit, where any was.
        """
        _output(self.program)
        pipeline, found = self.pipeline, []
        energy: dict[str, list[float]] | None = None
        for stage, program in enumerate(pipeline.programs):  # blocks run again for each: all stages' spikes at once take too much memory
            recordings = (each[stage] for each in self._recordings(inputs, found if stage == 0 else None))
            if self.board is not None:
                energy = _plus(energy, program, recordings, self.board)
            elif stage == 0:
                for _ in recordings:
                    pass
        return _joined(found), {"energy": energy, "saturated": saturated(pipeline.inputs, dict(inputs))}

    def _recordings(self, inputs: Inputs, found: list[Run] | None) -> Iterator[tuple[Recording, ...]]:
        """By block, a recording per stage; the runs go to `found`."""
        pipeline = self.pipeline
        for block in _blocks(inputs, _neurons(pipeline)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SaturationWarning)  # counted instead
                recordings = run_pipeline(pipeline, pipeline.encode(block), record="all").recordings
            if found is not None:
                layers = [(i, name) for i, program in enumerate(pipeline.programs) for name in program.neurons]
                several = len(pipeline.programs)
                counts = {layer_name(several, i, name): np.count_nonzero(recordings[i].spikes[name], 0) for i, name in layers}
                found.append(Run(scores(pipeline.programs[-1], recordings[-1]), counts))
            yield recordings


def _plus(energy: dict[str, list[float]] | None, program: Program, recordings: Iterator[Recording], board: Any) -> dict[str, list[float]]:
    """What was known, and a stage more."""
    from snnfuse.hardware.energy import Range, energy_of

    models = {model.model: model.dynamic_uj for model in energy_of(program, recordings, board).models if model.layers}
    return {name: list(span if energy is None else span + Range(*energy[name])) for name, span in models.items()}


def _neurons(pipeline: Pipeline) -> int:
    return sum(math.prod(node.shape) for program in pipeline.programs for node in program.neurons.values())


def _output(program: Program | Pipeline) -> str:
    """The output that classes are read from."""
    last = as_pipeline(program).programs[-1]
    if last.decides is None:
        raise InputError(f"accuracy is that of one output, but this program has {len(last.outputs)}: {', '.join(last.outputs)}")
    return last.decides


def _in_blocks(run: Runner, neurons: int) -> Runner:
    return lambda inputs: _joined([run(block) for block in _blocks(inputs, neurons)])


def _blocks(inputs: Inputs, neurons: int) -> Iterator[dict[str, NDArray]]:
    time, samples = next(iter(inputs.values())).shape[:2]
    if not samples:
        raise InputError("there is no sample to measure")
    size = max(1, BLOCK_BYTES // max(1, time * neurons * 8))
    for start in range(0, samples, size):
        yield {name: x[:, start : start + size] for name, x in inputs.items()}


def _joined(runs: list[Run]) -> Run:
    counts = {name: np.concatenate([run.counts[name] for run in runs]) for name in runs[0].counts}
    return Run(np.concatenate([run.scores for run in runs]), counts)
