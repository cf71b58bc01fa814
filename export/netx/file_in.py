"""A netx file (HDF5) to its contents: h5py alone, nothing executed, every dataset checked before it is believed."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snnfuse.export.netx.contents import Array, Net, NetLayer, WeightedLayer
from snnfuse.export.netx.datasets import MOST, group_of, integers, numbers, one, text, unknown, where
from snnfuse.export.netx.neurons_in import known_names, read_neuron
from snnfuse.export.netx.table import REFUSED_LAYERS
from snnfuse.hardware.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    import h5py

LAYER = {"type", "shape", "neuron", "weight", "bias", "delay", "inFeatures", "outFeatures", "inChannels", "outChannels", "kernelSize"}
KINDS = {
    "input": {"type", "shape", "neuron", "weight", "bias"},
    "flatten": {"type", "shape"},
    "average": {"type", "shape"},
    "dense": LAYER,
    "dense_rec": LAYER | {"weight_rec"},
    "conv": LAYER | {"stride", "padding", "dilation", "groups"},
}


def read_contents(path: str | Path) -> Net:
    """What a file says.

    Raises:
        InputError: it is missing, damaged, or no netx file; names the dataset.
        UnsupportedError: it holds a layer or neuron that a Program has not; names it, with a way out.
    """
    from snnfuse.export.hdf5 import opened

    path = Path(path)
    try:
        with opened(path) as file:
            return _net(file)
    except (InputError, UnsupportedError) as error:
        raise error if str(error).startswith(str(path)) else type(error)(f"{path}: {error}") from error


def _net(file: "h5py.File") -> Net:
    layers = group_of(file, "layer")
    if layers is None or not len(layers):
        raise InputError("layer: missing; a netx file has a group 'layer' with the layers 0, 1, ...")
    expected = [str(i) for i in range(len(layers))]
    if sorted(layers) != sorted(expected):
        raise InputError(f"layer: holds {', '.join(sorted(layers))}; layers are numbered from 0 without a gap")
    return Net(tuple(_layer(group_of(layers, name), f"layer/{name}") for name in expected), _time_step(file), _steps(file))


def _time_step(file: "h5py.File") -> float | None:
    simulation = group_of(file, "simulation")
    if simulation is None or "Ts" not in simulation:
        return None
    value = numbers(simulation, "Ts")  # milliseconds
    if value.size != 1 or not value.flat[0] > 0:
        raise InputError(f"simulation/Ts: expected one positive number of milliseconds, found {value.ravel()[:3]}")
    return float(value.flat[0]) * 1e-3


def _steps(file: "h5py.File") -> int | None:
    simulation = group_of(file, "simulation")
    if simulation is None or "tSample" not in simulation:
        return None
    value = one(simulation, "tSample")
    if value < 1:
        raise InputError(f"simulation/tSample: expected a positive number of steps, found {value}")
    return value


def _layer(group: "h5py.Group | None", name: str) -> NetLayer:
    if group is None:
        raise InputError(f"{name}: not a group")
    kind = text(group, "type")
    if kind not in KINDS:
        reason, way_out = REFUSED_LAYERS.get(kind, ("netx skips it without a word", "express it as dense or conv layers"))
        raise UnsupportedError(f"{name}: type {kind!r} is not supported: {reason}; {way_out}")
    ignored, shape = unknown(group, KINDS[kind]), _shape(group)
    if kind in ("flatten", "average"):
        return NetLayer(name, kind, shape, ignored=ignored)
    own = group_of(group, "neuron")
    neuron = read_neuron(own, f"{name}/neuron")
    if own is not None and neuron is not None:
        ignored += tuple(f"neuron/{key}" for key in unknown(own, known_names(neuron)))
    if kind == "input":
        weight, bias = (one(group, key) if key in group else default for key, default in (("weight", 64), ("bias", 0)))
        return NetLayer(name, kind, shape, neuron, transform=(weight, bias), ignored=ignored)
    if neuron is None and kind != "dense":
        raise UnsupportedError(f"{name}: has no neuron, and netx takes that of dense layers only; export the block with dynamics=True")
    bias, delay = (integers(group, key) if key in group else None for key in ("bias", "delay"))
    if kind == "conv":
        stride, dilation = (_pair(group, key, 1) if key in group else (1, 1) for key in ("stride", "dilation"))
        padding = _pair(group, "padding", 0) if "padding" in group else (0, 0)
        groups = one(group, "groups") if "groups" in group else 1
        layer = WeightedLayer(name, kind, shape, neuron, ignored=ignored, weight=_kernels(group), bias=bias, delay=delay)
        return replace(layer, stride=stride, padding=padding, dilation=dilation, groups=groups)
    rows = int(np.prod(shape))
    layer = WeightedLayer(name, kind, (rows,), neuron, ignored=ignored, weight=_matrix(group, "weight", rows), bias=bias, delay=delay)
    return replace(layer, weight_rec=_matrix(group, "weight_rec", rows)) if kind == "dense_rec" else layer


def _shape(group: "h5py.Group") -> tuple[int, ...]:
    shape = integers(group, "shape").ravel()
    if not 1 <= len(shape) <= 3 or shape.min() < 1 or np.prod(shape.astype(float)) > MOST:
        raise InputError(f"{where(group, 'shape')}: expected one to three positive sizes, found {shape[:4].tolist()}")
    return tuple(int(n) for n in shape)


def _kernels(group: "h5py.Group") -> Array:
    weight = integers(group, "weight")
    if weight.ndim == 5 and weight.shape[4] == 1:
        weight = weight[..., 0]
    if weight.ndim != 4 or not weight.size:
        raise InputError(f"{where(group, 'weight')}: expected (out, in, height, width), found {weight.shape}")
    if "kernelSize" in group and _pair(group, "kernelSize", 1) != weight.shape[2:]:
        raise InputError(f"{where(group, 'kernelSize')}: is not that of the weights, {weight.shape[2:]}")
    return weight


def _matrix(group: "h5py.Group", key: str, rows: int) -> Array:
    weight = integers(group, key)
    if weight.ndim == 1 and weight.size % rows == 0:
        weight = weight.reshape(rows, -1)
    if weight.ndim != 2 or not weight.size or len(weight) != rows:
        raise InputError(f"{where(group, key)}: expected ({rows}, in), found {weight.shape}")
    return weight


def _pair(group: "h5py.Group", key: str, least: int) -> tuple[int, int]:
    values = integers(group, key).ravel()
    if len(values) not in (1, 2) or values.min() < least:
        raise InputError(f"{where(group, key)}: expected one or two integers of at least {least}, found {values[:4].tolist()}")
    return int(values[0]), int(values[-1])
