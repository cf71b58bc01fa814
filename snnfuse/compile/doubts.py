"""What labels tell of how outputs are read: a sentence where groups of outputs, and not single ones, seem to stand for classes."""

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware import Program, Recording, scores

BEYOND = 0.2  # share of samples that are given a class which no label has, above which that is no chance: a plain choice


def doubtful_classes(program: Program, recording: Recording, labels: NDArray[np.int64]) -> str | None:
    """What to warn of where a program's outputs are several times as many as the classes seen, and its classes are none of them, or fit
    the labels less than those of groups of neurons do; None where nothing is to be said.

    Args:
        program: with an output that decides.
        recording: of a run on labelled samples.
        labels: (batch,), classes of the output.
    """
    if program.decides is None or not len(labels):
        return None
    rule, found = program.outputs[program.decides], scores(program, recording)
    flat, classes = found.reshape(len(found), -1), int(labels.max()) + 1
    if rule.num_classes is not None or classes < 2 or flat.shape[1] == classes or flat.shape[1] % classes:
        return None
    decided, grouped = flat.argmax(1), flat.reshape(len(flat), classes, -1)
    by_group = (grouped.max(-1) if rule.decoder == "first_spike" else grouped.sum(-1)).argmax(1)
    beyond = float((decided >= classes).mean())
    if beyond <= BEYOND and (by_group == labels).sum() <= (decided == labels).sum():
        return None
    neurons, times = flat.shape[1], flat.shape[1] // classes
    return (
        f"output {program.decides!r} has {neurons} neurons, {times} times the {classes} classes of the labels, and {beyond:.0%} of the "
        f"samples are given a class that no label has; if {times} neurons in a row stand for a class (a population code), say "
        f"num_classes={classes}"
    )
