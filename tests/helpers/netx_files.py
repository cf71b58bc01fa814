"""netx files, dataset by dataset, as SLAYER writes them."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

NEURON = {"type": "CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 80, "refDelay": 1, "gradedSpike": False}


def neuron(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in (NEURON | changes).items() if value is not None}


def sdnn(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in ({"type": "SDNN", "vThMant": 5, "activation": "relu"} | changes).items() if value is not None}


def dense(weight: Any, kind: str = "dense", **more: Any) -> dict[str, Any]:
    weight = np.asarray(weight, np.float32)
    return {"type": kind, "shape": np.array([len(weight)]), "weight": weight, "neuron": neuron()} | more


def conv(weight: Any, shape: tuple[int, ...], **more: Any) -> dict[str, Any]:
    pairs = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]}
    geometry = {key: np.array(value) for key, value in pairs.items()} | {"groups": 1}
    return {"type": "conv", "shape": np.array(shape), "weight": np.asarray(weight, np.float32), "neuron": neuron(), **geometry} | more


def given(shape: tuple[int, ...]) -> dict[str, Any]:
    return {"type": "input", "shape": np.array(shape)}


def write(path: Path, *layers: dict[str, Any], **more: Any) -> Path:
    """A file with these layers, numbered; more: datasets by path."""
    with h5py.File(path, "w") as file:
        for i, layer in enumerate(layers):
            _write(file.create_group(f"layer/{i}"), layer)
        for name, value in more.items():
            file.create_dataset(name.replace("__", "/"), data=value)
    return path


def _write(group: h5py.Group, values: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            _write(group.create_group(key), value)
        elif key == "type" and group.name.count("/") == 2:
            group.create_dataset("type", (1,), "S10", [value.encode("ascii")])
        elif value is not None:
            group.create_dataset(key, data=value)
