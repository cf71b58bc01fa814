"""The contents of a netx file to HDF5, in the datasets that SLAYER writes."""

import io
from typing import TYPE_CHECKING

import numpy as np

from snnfuse.export.netx.contents import Net, NetLayer, NetNeuron, NetSdnn, WeightedLayer

if TYPE_CHECKING:
    import h5py

KIND_BYTES = "S10"


def to_bytes(net: Net) -> bytes:
    """A whole file, in memory: HDF5 ends the process where a disk is full."""
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for layer in net.layers:
            _write_layer(file.create_group(layer.name), layer)
        if net.dt is not None:
            file.create_dataset("simulation/Ts", data=net.dt * 1e3)  # milliseconds
    return content.getvalue()


def _write_layer(group: "h5py.Group", layer: NetLayer) -> None:
    group.create_dataset("type", (1,), KIND_BYTES, [layer.kind.encode("ascii")])
    group.create_dataset("shape", data=np.array(layer.shape, np.int64))
    if not isinstance(layer, WeightedLayer):
        if layer.neuron is not None:  # an input that encodes
            for key, value in zip(("weight", "bias"), layer.transform):
                group.create_dataset(key, data=np.array([value], np.float32))
            _write_neuron(group, layer.neuron)
        return
    if layer.kind == "conv":
        out, per_group, *kernel = layer.weight.shape
        values = {"inChannels": per_group * layer.groups, "outChannels": out, "kernelSize": np.array(kernel), "groups": layer.groups}
        values |= {key: np.array(getattr(layer, key)) for key in ("stride", "padding", "dilation")}
    else:
        values = {"outFeatures": layer.weight.shape[0], "inFeatures": layer.weight.shape[1]}
    arrays = {"weight": layer.weight, "weight_rec": layer.weight_rec, "bias": layer.bias, "delay": layer.delay}
    values |= {key: array.astype(np.float32) for key, array in arrays.items() if array is not None}
    for key, value in values.items():
        group.create_dataset(key, data=value)
    if layer.neuron is not None:
        _write_neuron(group, layer.neuron)


def _write_neuron(group: "h5py.Group", neuron: NetNeuron | NetSdnn) -> None:
    for key, value in (_sdnn(neuron) if isinstance(neuron, NetSdnn) else _cuba(neuron)).items():
        group.create_dataset(f"neuron/{key}", data=value)


def _sdnn(neuron: NetSdnn) -> dict[str, object]:
    values: dict[str, object] = {"type": "SDNN", "activation": neuron.activation, "vThMant": neuron.threshold}
    return values | ({"sigma_output": True} if neuron.is_output else {})


def _cuba(neuron: NetNeuron) -> dict[str, object]:
    values: dict[str, object] = {"type": "CUBA", "refDelay": neuron.refractory, "gradedSpike": False}
    return values | {"iDecay": _plain(neuron.i_decay), "vDecay": _plain(neuron.v_decay), "vThMant": _plain(neuron.threshold)}


def _plain(value: object) -> object:
    """A scalar for one number: netx takes it apart from an array."""
    array = np.asarray(value)
    return int(array.flat[0]) if array.size == 1 else array
