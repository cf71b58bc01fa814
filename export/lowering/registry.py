"""How each type of NIR node is lowered: one registration per type, which the package makes for NIR's own and a user for further ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from snnfuse.export.lowering.linear_map import LinearMap
from snnfuse.export.lowering.network import Array, Population
from snnfuse.export.lowering.shapes import Shape
from snnfuse.export.ops_table import Row
from snnfuse.hardware.errors import InputError

GROUP = "NIR node"


@dataclass(frozen=True)
class NodeLowering:
    """What lowering needs to know of one type of node.

    Attributes:
        how: what becomes of it, for the table of operations; empty where `rows` say it.
        rows: of the table of operations, for its cases.
        numbers: names of its attributes that must hold finite real numbers; of neurons, each one number or one per neuron.
        optional: those of them that may be None.
        endless: those of them that may be infinite: a time constant that never ends, a threshold that is never reached.
    """

    how: str = ""
    rows: tuple[Row, ...] = ()
    numbers: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    endless: tuple[str, ...] = ()


def own_bias(name: str, node: nir.NIRNode, shape: Shape) -> Array | None:
    """What the attribute `bias` of a node adds to its output of `shape`, per channel or as one number; None where there is none.

    Raises:
        InputError: it does not fit the shape.
    """
    bias = getattr(node, "bias", None)
    if bias is None:
        return None
    bias = np.asarray(bias, np.float64)
    if bias.size not in (1, shape[0]):
        raise InputError(f"node {name!r}: a bias of shape {bias.shape} does not fit an output of shape {shape}")
    return np.broadcast_to(bias.reshape(-1, *(1,) * (len(shape) - 1)), shape)


@dataclass(frozen=True, kw_only=True)
class LinearLowering(NodeLowering):
    """A node whose output is linear in its input, and a bias.

    Attributes:
        maps: (name, node, shape of the input, seconds per step) to the maps whose sum it is, one for each of several lags.
        bias: (name, node, shape of the output) to what it adds, float64 of that shape; None for nothing.
        shifts_time: whether it has a lag, so that no bias can pass through it.
    """

    maps: Callable[[str, Any, Shape, float], tuple[LinearMap, ...]]
    bias: Callable[[str, Any, Shape], Array | None] = own_bias
    shifts_time: bool = False


@dataclass(frozen=True, kw_only=True)
class NeuronLowering(NodeLowering):
    """A node that holds neurons.

    Attributes:
        population: (name, node, seconds per step) to the neurons in discrete time, whose arrays may still be one number for all.
        fires: whether it puts out spikes; else its membrane, which outputs and thresholds alone can read.
        takes_current: whether an integrator before it is its synaptic current.
    """

    population: Callable[[str, Any, float], Population]
    fires: bool = True
    takes_current: bool = True


_LOWERINGS: dict[type[nir.NIRNode], NodeLowering] = {}


def register_lowering(kind: type[nir.NIRNode], lowering: NodeLowering) -> None:
    """Register how a type of node, and those derived from it, are lowered.

    Raises:
        InputError: the type is no NIR node, or registered already.
    """
    if not (isinstance(kind, type) and issubclass(kind, nir.NIRNode)):
        raise InputError(f"{kind!r} is no type of NIR node; derive it from nir.NIRNode")
    if kind in _LOWERINGS:
        raise InputError(f"the lowering of {kind.__name__} is registered already, as: {_LOWERINGS[kind].how}")
    _LOWERINGS[kind] = lowering


def find_lowering(node: object) -> NodeLowering | None:
    """How a node is lowered, by its type or the nearest one that it derives from; None where that is not registered."""
    return next((_LOWERINGS[kind] for kind in type(node).__mro__ if kind in _LOWERINGS), None)


def find_linear(node: object) -> LinearLowering | None:
    """How a linear node is lowered; None for any other."""
    found = find_lowering(node)
    return found if isinstance(found, LinearLowering) else None


def find_neuron(node: object) -> NeuronLowering | None:
    """How a node that holds neurons is lowered; None for any other."""
    found = find_lowering(node)
    return found if isinstance(found, NeuronLowering) else None


def known_types() -> tuple[str, ...]:
    """The names of all registered types that a graph may hold, sorted."""
    return tuple(sorted(kind.__name__ for kind, lowering in _LOWERINGS.items() if lowering.how or lowering.rows))


def registered_rows() -> Iterator[Row]:
    """Rows of the table of operations, type by type in the order of their registration."""
    for kind, lowering in _LOWERINGS.items():
        if lowering.how:
            yield Row(GROUP, kind.__name__, "", "exact", lowering.how)
        yield from lowering.rows
