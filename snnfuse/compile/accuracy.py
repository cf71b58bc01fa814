"""Accuracy of float networks and of recordings, read by a program's own decoder."""

from typing import TYPE_CHECKING

from snnfuse.data.samples import Samples
from snnfuse.hardware import Pipeline, Program, Recording, scores
from snnfuse.measures.runs import accuracy, of_floats

if TYPE_CHECKING:
    from snnfuse.export.staging.staged import StagedGraph


def float_accuracy(floats: "StagedGraph", program: Program | Pipeline, samples: Samples) -> float:
    """Of the float network, in [0, 1], read by the program's decoder."""
    assert samples.labels is not None
    return of_floats(floats, program)(samples.inputs).accuracy(samples.labels)


def program_accuracy(program: Program, recording: Recording, samples: Samples) -> float:
    """Of a recording of the program, in [0, 1]."""
    assert samples.labels is not None
    return accuracy(scores(program, recording), samples.labels)


def check_labels(program: Program, samples: Samples) -> None:
    """InputError for a label that is no class of the output that decides."""
    if program.decides is not None:
        output = program.outputs[program.decides]
        samples.check_labels(output.classes(program.nodes[output.node].shape))


def describe_decoder(program: Program) -> str:
    """How classes are read, in words."""
    assert program.decides is not None
    named = f"{program.decides}: " if len(program.outputs) > 1 else ""
    return named + program.outputs[program.decides].described()
