"""Accuracy of float graphs and of recordings, read by a program's own decoder."""

import math
from typing import TYPE_CHECKING

from numpy.typing import NDArray

from snnfuse.data.samples import Samples
from snnfuse.hardware import Program, Recording, scores
from snnfuse.hardware.ir.encoding import reduce_window

if TYPE_CHECKING:
    from snnfuse.compile.sources import Graph


def float_accuracy(graph: "Graph", program: Program, samples: Samples) -> float:
    """Of the float graph, in [0, 1], read by the program's decoder."""
    from snnfuse.export import lower, simulate

    run = simulate(lower(graph.nir, program.dt), samples.inputs)
    (output,) = program.outputs.values()
    values = run.spikes if output.decoder == "spike_count" else run.v
    return accuracy(reduce_window(output.decoder, values[output.node]), samples)


def check_labels(program: Program, samples: Samples) -> None:
    """InputError for a label that is no class of the only output."""
    if len(program.outputs) == 1:
        (output,) = program.outputs.values()
        samples.check_labels(math.prod(program.nodes[output.node].shape))


def program_accuracy(program: Program, recording: Recording, samples: Samples) -> float:
    """Of a recording of the program, in [0, 1]."""
    return accuracy(scores(program, recording), samples)


def accuracy(values: NDArray, samples: Samples) -> float:
    """Share of samples whose highest of `values` (batch, *shape), ties to the lowest index, is their label."""
    return float((values.reshape(len(values), -1).argmax(1) == samples.labels).mean())


def describe_decoder(program: Program) -> str:
    """How classes are read, in words."""
    (output,) = program.outputs.values()
    return f"{output.decoder.replace('_', ' ')}, ties to the lowest index"
