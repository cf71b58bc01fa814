"""What a neuron kind brings so that the emulator runs it: parameters by name, and one function that updates a population.

A kind registers, as `NeuronKind(..., emulator="package.module:form")` or as the object itself, a function

    form(node) -> NeuronForm

`NeuronForm.update` is a plain Python function that numba compiles on its first use, once per machine, for kinds of this package as for
those of any other. It takes one time step of a whole population, for one sample:

    def update(inputs, states, parameters, sent):
        for j in range(sent.size):
            p = of_neuron(parameters, j)
            x = np.int32(inputs[0, j] + states[0, j])
            fires = x > p.threshold
            states[0, j] = np.int32(0) if fires else x
            sent[j] = fires

    inputs      int32 (ports, neurons): what arrived at each port, synapses and constants together, modulo 2**32. Its own to overwrite.
    states      int32 (number of states, neurons), in the order of the kind's `states`, changed in place. They begin at 0.
    parameters  those of the form by name: `of_neuron(parameters, j)` gives neuron j's, whether they are the same for all or one each.
    sent        int32 (neurons): what each neuron sends, 1 for a spike and a payload for a graded spike; 0 where it sends nothing.

Every neuron is written, whether it sends or not, and none looks at another: neurons come in any order, and a large population is updated
in slices. Functions that `update` calls are compiled with `compiled`.

Integers: numba adds and multiplies in 64 bits, and an assignment to an int32 array keeps the low 32. `np.int32(...)` around each operation
keeps them to 32 bits, where a vector register holds twice as many; shifts are by np.int32 too. Loops without branches but `a if b else c`
become vector code. `>>` is arithmetic and rounds down. Floats round towards zero while updates run; `decay_24_bits` makes use of it.

`update` may be made by a function of its own that closes over integers, as `lif.form` does; what it closes over must be alike in every
process, for numba finds compiled code again by it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

INLINED: set[Callable] = set()  # what `compiled` was called with


@dataclass(frozen=True, eq=False)
class NeuronForm:
    """How the emulator runs one population.

    Attributes:
        update: one time step, see above.
        parameters: by name, each an integer for all neurons or an array of the population's shape; within int32.
        rests: whether a population whose states are all 0 and which nothing reaches keeps them at 0 and sends nothing: its update is then
            skipped. A population with a bias does not rest.
    """

    update: Callable[..., None]
    parameters: Mapping[str, int | NDArray[np.integer]]
    rests: bool = False


def compiled(function: Callable) -> Callable:
    """A function that updates may call; compiled with them, and called from nowhere else."""
    INLINED.add(function)
    return function


@compiled
def decay_24_bits(x, keep):
    """trunc(x keep / 4096) of any |x| <= 2**24, keep 0..4096, by a float32 product, which costs a third of integer ones.

    x and keep are exact. The product keeps its 24 leading bits, among them all before the point; what is dropped, by the product and then
    by the conversion, is dropped towards zero.
    """
    return np.int32(np.float32(x) * (np.float32(keep) * np.float32(1 / 4096)))


def of_neuron(parameters, j):
    """The parameters of neuron j, as a record with their names; for compiled code."""
    return parameters[j] if parameters.size > 1 else parameters[0]
