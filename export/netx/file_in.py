"""A netx file (HDF5) to its contents: h5py alone, nothing executed, every dataset checked before it is believed."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snnfuse.export.netx.contents import NEURONS, Array, Net, NetLayer, NetNeuron
from snnfuse.export.netx.table import REFUSED_LAYERS, REFUSED_NEURONS
from snnfuse.hardware.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    import h5py

MOST = 1 << 28  # elements of one dataset: a few bytes of a damaged file can claim any number
LAYER = {"type", "shape", "neuron", "weight", "bias", "delay", "inFeatures", "outFeatures", "inChannels", "outChannels", "kernelSize"}
KINDS = {
    "input": {"type", "shape", "neuron", "weight", "bias"},
    "flatten": {"type", "shape"},
    "dense": LAYER,
    "dense_rec": LAYER | {"weight_rec"},
    "conv": LAYER | {"stride", "padding", "dilation", "groups"},
}
TRAINING = {"tauRho", "scaleRho", "theta"}  # of the surrogate gradient: no part of the network
NEURON = {"type", "iDecay", "vDecay", "vThMant", "refDelay", "gradedSpike", "weight_exp", "wgtExp"} | TRAINING


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
    layers = _group(file, "layer")
    if layers is None or not len(layers):
        raise InputError("layer: missing; a netx file has a group 'layer' with the layers 0, 1, ...")
    expected = [str(i) for i in range(len(layers))]
    if sorted(layers) != sorted(expected):
        raise InputError(f"layer: holds {', '.join(sorted(layers))}; layers are numbered from 0 without a gap")
    return Net(tuple(_layer(_group(layers, name), f"layer/{name}") for name in expected), _time_step(file))


def _time_step(file: "h5py.File") -> float | None:
    simulation = _group(file, "simulation")
    if simulation is None or "Ts" not in simulation:
        return None
    value = _numbers(simulation, "Ts")  # milliseconds
    if value.size != 1 or not value.flat[0] > 0:
        raise InputError(f"simulation/Ts: expected one positive number of milliseconds, found {value.ravel()[:3]}")
    return float(value.flat[0]) * 1e-3


def _layer(group: "h5py.Group | None", name: str) -> NetLayer:
    if group is None:
        raise InputError(f"{name}: not a group")
    kind = _text(group, "type")
    if kind not in KINDS:
        reason, way_out = REFUSED_LAYERS.get(kind, ("netx skips it without a word", "express it as dense or conv layers"))
        raise UnsupportedError(f"{name}: type {kind!r} is not supported: {reason}; {way_out}")
    _check_names(group, name, KINDS[kind])
    shape = _shape(group)
    if kind == "flatten":
        return NetLayer(name, kind, shape)
    neuron = _neuron(_group(group, "neuron"), f"{name}/neuron")
    if kind == "input":
        _check_input(name, neuron)
        return NetLayer(name, kind, shape)
    if neuron is None:
        raise UnsupportedError(
            f"{name}: has no neuron: SLAYER reads its synaptic current, netx integrates it; export the block with dynamics=True"
        )
    optional = {key: _integers(group, key) for key in ("bias", "delay") if key in group}
    if kind == "conv":
        limits = (("stride", 1), ("padding", 0), ("dilation", 1))
        geometry = {key: _pair(group, key, least) for key, least in limits if key in group}
        weight, groups = _kernels(group), _one(group, "groups") if "groups" in group else 1
        return NetLayer(name, kind, shape, neuron, weight, groups=groups, **geometry, **optional)
    rows = int(np.prod(shape))
    if kind == "dense_rec":
        optional["weight_rec"] = _matrix(group, "weight_rec", rows)
    return NetLayer(name, kind, (rows,), neuron, _matrix(group, "weight", rows), **optional)


def _check_input(name: str, neuron: NetNeuron | None) -> None:
    if neuron is not None:
        raise UnsupportedError(
            f"{name}: an input layer with neurons: SLAYER feeds a scaled float into their current, netx expects a host that writes "
            "their bias on every step; encode to spikes on the host and export the network without this block"
        )


def _neuron(group: "h5py.Group | None", name: str) -> NetNeuron | None:
    if group is None:
        return None
    kind = _text(group, "type")
    if kind not in NEURONS:
        family = next((key for key in REFUSED_NEURONS if key in kind), "")
        reason, way_out = REFUSED_NEURONS.get(family, ("it is no neuron that SLAYER writes", "train with slayer.block.cuba"))
        raise UnsupportedError(f"{name}: type {kind!r} is not supported: {reason}; {way_out}")
    _check_names(group, name, NEURON)
    if "gradedSpike" in group and _one(group, "gradedSpike"):
        raise UnsupportedError(
            f"{name}/gradedSpike: spikes that carry the voltage are not supported (netx sends 1 instead); train with graded_spike=False"
        )
    if "weight_exp" in group and "wgtExp" in group:
        raise InputError(f"{name}: has both weight_exp and wgtExp")
    i_decay, v_decay, threshold = (_integers(group, key) for key in ("iDecay", "vDecay", "vThMant"))
    exponent = next((_one(group, key) for key in ("weight_exp", "wgtExp") if key in group), 0)
    if "weight_exp" in group:
        exponent = -exponent  # SLAYER divides by 2**weight_exp
    refractory = _one(group, "refDelay") if "refDelay" in group else 1
    return NetNeuron(i_decay, v_decay, threshold, refractory, exponent, normalised="weight_exp" in group)


def _check_names(group: "h5py.Group", name: str, known: set[str]) -> None:
    unknown = sorted(set(group) - known)
    if unknown:
        raise UnsupportedError(
            f"{name}/{unknown[0]}: unknown, and netx would ignore it; if the network does not depend on it, delete it from the file"
        )


def _shape(group: "h5py.Group") -> tuple[int, ...]:
    shape = _integers(group, "shape").ravel()
    if not 1 <= len(shape) <= 3 or shape.min() < 1 or np.prod(shape.astype(float)) > MOST:
        raise InputError(f"{_where(group, 'shape')}: expected one to three positive sizes, found {shape[:4].tolist()}")
    return tuple(int(n) for n in shape)


def _kernels(group: "h5py.Group") -> Array:
    weight = _integers(group, "weight")
    if weight.ndim == 5 and weight.shape[4] == 1:
        weight = weight[..., 0]
    if weight.ndim != 4 or not weight.size:
        raise InputError(f"{_where(group, 'weight')}: expected (out, in, height, width), found {weight.shape}")
    if "kernelSize" in group and _pair(group, "kernelSize", 1) != weight.shape[2:]:
        raise InputError(f"{_where(group, 'kernelSize')}: is not that of the weights, {weight.shape[2:]}")
    return weight


def _matrix(group: "h5py.Group", key: str, rows: int) -> Array:
    weight = _integers(group, key)
    if weight.ndim == 1 and weight.size % rows == 0:
        weight = weight.reshape(rows, -1)
    if weight.ndim != 2 or not weight.size or len(weight) != rows:
        raise InputError(f"{_where(group, key)}: expected ({rows}, in), found {weight.shape}")
    return weight


def _pair(group: "h5py.Group", key: str, least: int) -> tuple[int, int]:
    values = _integers(group, key).ravel()
    if len(values) not in (1, 2) or values.min() < least:
        raise InputError(f"{_where(group, key)}: expected one or two integers of at least {least}, found {values[:4].tolist()}")
    return int(values[0]), int(values[-1])


def _one(group: "h5py.Group", key: str) -> int:
    values = _integers(group, key)
    if values.size != 1:
        raise InputError(f"{_where(group, key)}: expected one integer, found {values.size}")
    return int(values.flat[0])


def _integers(group: "h5py.Group", key: str) -> Array:
    """A dataset of whole numbers, whatever its type: SLAYER writes them as float32. netx would cut 3.7 to 3."""
    values = _numbers(group, key)
    if not np.isfinite(values).all() or (values != np.rint(values)).any() or np.abs(values).max(initial=0) > 2**31:
        bad = values[~np.isfinite(values) | (values != np.rint(values)) | (np.abs(values) > 2**31)].flat[0]
        raise InputError(f"{_where(group, key)}: holds {bad:g}; netx files hold integers (SLAYER's quantize_8bit makes them)")
    return values.astype(np.int64)


def _numbers(group: "h5py.Group", key: str) -> np.ndarray:
    dataset = _dataset(group, key)
    if dataset.dtype.kind not in "biuf" or dataset.size > MOST:
        raise InputError(f"{_where(group, key)}: expected at most {MOST} numbers, found {dataset.size} of {dataset.dtype}")
    return np.asarray(dataset[()], np.float64)


def _text(group: "h5py.Group", key: str) -> str:
    dataset = _dataset(group, key)
    value = dataset[()] if dataset.size == 1 else None
    value = value.flat[0] if isinstance(value, np.ndarray) else value
    if not isinstance(value, bytes) or not value.isascii():
        raise InputError(f"{_where(group, key)}: expected a name, found {dataset.dtype} of shape {dataset.shape}")
    return value.decode("ascii")


def _dataset(group: "h5py.Group", key: str) -> "h5py.Dataset":
    import h5py

    if key not in group:
        raise InputError(f"{_where(group, key)}: missing")
    found = group[key]
    if not isinstance(found, h5py.Dataset):
        raise InputError(f"{_where(group, key)}: not a data set")
    return found


def _group(parent: "h5py.Group", key: str) -> "h5py.Group | None":
    import h5py

    found = parent.get(key)
    return found if isinstance(found, h5py.Group) else None


def _where(group: "h5py.Group", key: str) -> str:
    return f"{group.name}/{key}".lstrip("/")
