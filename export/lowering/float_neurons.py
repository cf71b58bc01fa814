"""Neurons outside the LIF family in the float network, and how a NIR graph holds them.

A neuron kind brings its float dynamics as a subclass of `FloatNeuron`, named under `network` in its `NeuronKind`. NIR has no node for it:
in a graph stands the nearest standard node, with a note in that node's metadata that says which kind it is and what its parameters are.
Readers that do not know the note see the standard node; `lower` here sees the neuron.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, ClassVar, TypeVar

import nir
import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import Int
from snnfuse.hardware.ir.json_fields import at, keys
from snnfuse.hardware.ir.kinds import NEURONS
from snnfuse.hardware.ir.nodes import Neuron

Array = NDArray[np.float64]
Shape = tuple[int, ...]
KEY = "snnfuse"  # among a node's metadata
Own = TypeVar("Own", bound="FloatNeuron")


class FloatNeuron(ABC):
    """The float dynamics of one population: a frozen dataclass whose fields are float64 arrays, of the neurons' shape or single numbers.

    Attributes:
        kind: what it becomes.
        theta: what the membrane is compared with, > 0, in the units of its input; scales of weights are tried around it.
    """

    kind: ClassVar[type[Neuron]]
    theta: Array

    def rest(self, shape: Shape) -> tuple[Array, ...]:
        """States at the start, zeros (batch, *shape), in the order of `kind.states`."""
        return tuple(np.zeros(shape) for _ in self.kind.states)

    @abstractmethod
    def step(self, state: tuple[Array, ...], x: Array) -> tuple[NDArray[np.bool_], tuple[Array, ...]]:
        """One time step: the sum of weighted spikes and biases, (batch, *shape), to spikes and the next state."""

    @abstractmethod
    def quantized(self, shape: Shape, scale: float) -> Neuron | None:
        """The integer neurons for weights that are multiplied by `scale`; None where a register does not hold them.

        Its membrane stands for `scale` * 2**6 per unit, as a LIF's voltage does, and so do its inputs.
        """

    @abstractmethod
    def stand_in(self, shape: Shape, dt: float) -> nir.NIRNode:
        """The nearest standard node, its parameters of `shape`."""

    def written_out(self: Own, spread: Callable[[str, Array], Array]) -> Own:
        """The same with spread(name, values) in the place of each parameter."""
        return type(self)(**{name: spread(name, values) for name, values in parameters(self).items()})


def parameters(neuron: Any) -> dict[str, Array]:
    """A `FloatNeuron`'s parameters by name; every such neuron is a dataclass."""
    return {field.name: getattr(neuron, field.name) for field in fields(neuron)}


def register(values: NDArray) -> Int:
    """Numbers rounded to the nearest integers, one for all where they are the same."""
    whole = np.rint(values).astype(np.int32)
    return int(whole.flat[0]) if (whole == whole.flat[0]).all() else whole


def to_node(neuron: FloatNeuron, shape: Shape, dt: float) -> nir.NIRNode:
    """The standard node of a population, with the note that `read_neuron` reads."""
    kind = NEURONS.named(neuron.kind.__name__)
    about: dict[str, Any] = {"neuron": kind.name} | ({} if kind.is_own else {"module": kind.source})
    about["parameters"] = {name: _number(values) for name, values in parameters(neuron).items()}
    return replace(neuron.stand_in(shape, dt), metadata={KEY: json.dumps(about)})


def _number(values: Array) -> float | list[float]:
    values = np.asarray(values, np.float64).ravel()
    return float(values[0]) if (values == values[0]).all() else values.tolist()


def read_neuron(name: str, node: nir.NIRNode) -> FloatNeuron | None:
    """The neuron that a node's note speaks of; None where it has none.

    Raises:
        InputError: the note is damaged, or names a kind that is not registered.
    """
    return at(f"node {name!r}: its metadata", _read, node.metadata[KEY]) if is_noted(node) else None


def is_noted(node: nir.NIRNode) -> bool:
    """Whether a node stands for a neuron that NIR lacks."""
    metadata = getattr(node, "metadata", None)
    return isinstance(metadata, Mapping) and KEY in metadata


def _read(text: object) -> FloatNeuron:
    try:
        about = json.loads(text if isinstance(text, (str, bytes)) else str(text))
    except ValueError as error:
        raise InputError(f"no JSON ({error})") from None
    about = keys(about, {"neuron", "parameters", *({"module"} & set(about if isinstance(about, dict) else ()))})
    form: Any = NEURONS.named(about["neuron"], about.get("module")).form("network")
    given = keys(about["parameters"], {field.name for field in fields(form)})
    return form(**{parameter: at(parameter, _values, numbers) for parameter, numbers in given.items()})


def _values(numbers: object) -> Array:
    listed = numbers if isinstance(numbers, list) else [numbers]
    if not listed or not all(isinstance(n, (int, float)) and not isinstance(n, bool) and np.isfinite(n) for n in listed):
        raise InputError("holds something else than finite numbers")
    return np.array(numbers, np.float64)
