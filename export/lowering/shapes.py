"""Which shapes fit each other, and the shape of every node's output.

NIR's neurons say their shape by their parameters, often one number for all neurons; then the shape is that of what feeds them.
Arrays of one shape in C order are the same neurons as their flattening, and as nothing else: (2, 3, 4) is not (4, 3, 2).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from snnfuse.export.lowering.network import Array
from snnfuse.hardware.errors import InputError

Shape = tuple[int, ...]


def size(shape: Shape) -> int:
    """How many neurons."""
    return math.prod(shape)


def same_neurons(a: Shape, b: Shape) -> bool:
    """Whether the shapes are equal, or one is the other flattened."""
    return a == b or (size(a) == size(b) and 1 in (len(a), len(b)))


def broadcasts(own: Shape, shape: Shape) -> bool:
    """Whether parameters of shape `own` say one value for each of `shape`: one for all, or axes of length 1 in place of some.

    Narrower than NumPy, which would lay a vector along the last axis, where a vector per channel may be meant.
    """
    return size(own) == 1 or (len(own) == len(shape) and all(n in (1, m) for n, m in zip(own, shape)))


def spread(name: str, what: str, values: ArrayLike, shape: Shape) -> Array:
    """Values written out to `shape`, float64, a copy.

    Raises:
        InputError: they fit it in no way.
    """
    values = np.asarray(values, np.float64)
    if broadcasts(values.shape, shape):
        values = values.reshape(()) if values.size == 1 else values
        return np.broadcast_to(values, shape).copy()
    if same_neurons(values.shape, shape):
        return values.reshape(shape).copy()
    raise InputError(f"node {name!r}: {what} of shape {values.shape} does not fit {shape}; give one number, or an array of that shape")


def joined(name: str, shapes: Iterable[Shape]) -> Shape:
    """The shape that parameters of these shapes share.

    Raises:
        InputError: there is none.
    """
    shapes = list(shapes)
    several = [shape for shape in shapes if size(shape) != 1]
    if not several:
        return max(shapes, key=len, default=())
    try:
        shape = np.broadcast_shapes(*several)
    except ValueError:
        shape = ()
    if not all(broadcasts(each, shape) for each in several):
        listed = " and ".join(map(str, dict.fromkeys(shapes)))
        raise InputError(f"node {name!r}: its parameters have shapes {listed}, which do not fit each other")
    return shape


def infer(
    known: Mapping[str, Shape],
    own: Mapping[str, Shape],
    targets: Mapping[str, list[str]],
    after: Callable[[str, Shape], Shape],
) -> dict[str, Shape]:
    """Every output's shape, from the inputs on.

    Args:
        known: shapes of the inputs.
        own: of each population, the shape that its parameters say.
        targets: where each input, population and linear node leads, populations by their own name.
        after: a linear node's output shape for an input shape; InputError where it takes no such input.

    Returns:
        Shapes by name; a population that no input reaches has what its parameters say.
    """
    shapes = {**known, **{name: shape for name, shape in own.items() if 1 not in shape and shape}}
    waiting, unreached = list(shapes), list(own)
    while waiting or unreached:
        if not waiting:
            waiting = [name for name in [unreached.pop()] if name not in shapes]
            shapes |= {name: own[name] or (1,) for name in waiting}
            continue
        source = waiting.pop()
        for target in targets.get(source, []):
            if target not in shapes:
                fed = shapes[source]
                wide = own.get(target)
                shapes[target] = after(target, fed) if wide is None else fed if broadcasts(wide, fed) else wide
                waiting.append(target)
    return shapes


def declared_shape(name: str, types: Any) -> Shape:
    """The shape that an Input states."""
    value = types.get("input") if isinstance(types, Mapping) else None
    if value is None:
        raise InputError(f"node {name!r} is an Input without a shape, which cannot be run; write it with input_type")
    return as_shape(name, value)


def as_shape(name: str, value: Any) -> Shape:
    """The shape in a file; a single number has shape (1,)."""
    try:
        numbers = np.ravel(value)
        shape = tuple(int(n) for n in numbers)
        whole = bool((numbers == shape).all()) if shape else True
    except (TypeError, ValueError, OverflowError):
        shape, whole = (), False
    if not whole or min(shape, default=1) < 1:
        raise InputError(f"node {name!r} states the shape {value!r}, which is none; positive whole numbers are needed")
    return shape or (1,)
