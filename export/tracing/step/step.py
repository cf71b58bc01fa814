"""What one time step of a model computes, as terms: an expression graph in which equal expressions are one term.

Terms are what a traced forward, with or without its own loop over time, is reduced to, and what is turned into NIR.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

INPUT = "input"  # target: the argument's name
MODULE = "module"  # target: the module's path; args: its input
NEURON = "neuron"  # likewise
PART = "part"  # target: "spikes", "mem" or "syn"; args: the neuron
DELAYED = "delayed"  # target: (what, where): spikes of the step before
ADD = "add"
OPERATION = "operation"  # target: an Operation
MUL = "mul"  # args: two; of both depending on the input, a product of counts
CONTRACT = "contract"  # target: a Contraction; args: its two factors
ZERO = "zero"
CONSTANT = "constant"  # target: a Constant


@dataclass(frozen=True)
class Term:
    """One value in a time step.

    Attributes:
        op: one of the names above.
        target: what it is applied with; see there.
        args: indices of the terms it reads.
        shape: of the value, without time and batch.
        where: names it in messages; two terms that differ only here are equal.
    """

    op: str
    target: Any
    args: tuple[int, ...]
    shape: tuple[int, ...]
    where: str = field(compare=False)


Reduction = Literal["steps", "sum", "mean", "last", "max"]


@dataclass(frozen=True)
class Reading:
    """What one value that forward returns is of a window.

    Attributes:
        reduction: "steps", all of them; their "sum", "mean" or "max", or the "last".
        axis: of all steps, which axis of the value is time; None for a list of them, and where a call is one step.
        factor: what forward multiplies a sum or mean by, > 0.
        classes: of a population code, into so many sums of equal groups of neurons in a row; None for the neurons themselves.
        squashed: the function that is applied at last and keeps their order, such as "softmax"; empty for none.
        path: where in a tuple of lists or dictionaries forward returns it; () in its own place.
    """

    reduction: Reduction = "steps"
    axis: int | None = None
    factor: float = 1.0
    classes: int | None = None
    squashed: str = ""
    path: tuple[int | str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One time step.

    Attributes:
        terms: arguments come before their readers.
        outputs: indices of the terms that forward returns, in order.
        inputs: names of the inputs, in the order of forward's arguments.
        names: of what forward returns, where it returns a dict; else empty.
        steps: of forward's own loop over time; 1 without one.
        time_axes: of each input, which of its axes is time; None where every step reads the same, or a call is one step.
        fresh: the paths of neurons that every step starts from zeros.
        readings: of each output, what forward returns of the window.
    """

    terms: tuple[Term, ...]
    outputs: tuple[int, ...]
    inputs: tuple[str, ...]
    names: tuple[str, ...] = ()
    steps: int = 1
    time_axes: tuple[int | None, ...] = ()
    readings: tuple[Reading, ...] = ()
    fresh: frozenset[str] = frozenset()
