"""Graphs and weights that are fuzzed: what the files are, how they are changed, and what a command does with them."""

from pathlib import Path
from typing import Any

import h5py
import lowering_graphs
import netx_files
import nir
import numpy as np
import torch
from random_nir import lowered_graph, random_inputs

from snnfuse.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from snnfuse.compile import Settings, compile, open_source
from snnfuse.data.samples import Samples
from snnfuse.export.hdf5 import opened
from snnfuse.export.lowering.nir_file import read_graph
from snnfuse.export.targets import find_target
from snnfuse.hardware.reading import reading
from snnfuse.networks import build, preset_config
from tests.fuzz.containers import (
    change_archive,
    change_pickle,
)
from tests.fuzz.engine import Family, Rng
from tests.fuzz.mutations import change_hdf5, pick

SAMPLES: dict[str, Samples] = {}  # by the name of a seed, which its cases keep
RNG = np.random.default_rng(0)
LAVA, NIR = find_target("lava"), find_target("nir")
QUICK = Settings(prove="off")


def nir_seeds(folder: Path) -> None:
    graphs = {f"random{number}": lowered_graph(number) for number in range(6)}
    graphs["chain"] = lowering_graphs.chain(
        nir.Linear(np.eye(4)), lowering_graphs.lif(4), nir.Affine(np.eye(4), np.ones(4)), lowering_graphs.lif(4)
    )
    kernel = RNG.integers(-4, 5, (2, 1, 3, 3)) / 8
    conv = nir.Conv2d((6, 6), kernel, (1, 1), (1, 1), (1, 1), 1, np.zeros(2))
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    flat = (nir.Flatten({"input": np.array([2, 3, 3])}, 0), nir.Linear(np.eye(3, 18)), lowering_graphs.lif(3))
    graphs["conv"] = lowering_graphs.chain(conv, lowering_graphs.lif(2, 6, 6), pool, *flat, size=(1, 6, 6))
    for name, graph in graphs.items():
        nir.write(folder / f"{name}.nir", graph)
        arrays = {key: value.astype(np.float32) for key, value in random_inputs(graph, 6, 2, 1).items()}
        SAMPLES[f"{name}.nir"] = Samples(arrays, None, "random")


def read_nir(path: Path) -> None:
    source, samples = open_source(path), SAMPLES[path.name]
    with reading(path):
        compile(source, None, QUICK, NIR)
        compile(source, samples.named(source.inputs), QUICK, LAVA)


def hdf5_seeds(folder: Path) -> None:
    """Files of which structure is a larger part than numbers."""
    nir.write(folder / "small.nir", lowering_graphs.chain(nir.Linear(np.eye(2)), lowering_graphs.lif(2)))
    with h5py.File(folder / "packed.nir", "w") as file:
        _pack(file, {"node": lowering_graphs.chain(nir.Linear(np.eye(4)), lowering_graphs.lif(4)).to_dict(), "version": "1.0"})


def _pack(group: h5py.Group, content: dict[str, Any]) -> None:
    for name, value in content.items():
        if isinstance(value, dict):
            _pack(group.create_group(name), value)
        elif np.size(value) > 1 and np.asarray(value).dtype.kind in "fi":
            group.create_dataset(name, data=value, chunks=True, compression="gzip", shuffle=True, fletcher32=True)
        elif value is not None:
            group[name] = value


def read_hdf5(path: Path) -> None:
    with opened(path) as file:
        file.visititems(
            lambda name, item: [item.attrs[key] for key in item.attrs] + [item[()] for _ in "x" if hasattr(item, "dtype")] and None
        )
    read_graph(path)


def net_seeds(folder: Path) -> None:
    weight = RNG.integers(-10, 11, (3, 4))
    netx_files.write(folder / "dense.net", netx_files.given((4,)), netx_files.dense(weight), netx_files.dense(np.eye(3) * 8))
    layers = (
        netx_files.conv(RNG.integers(-9, 9, (2, 1, 3, 3)), (2, 6, 6), padding=np.array([1, 1])),
        {"type": "flatten", "shape": np.array([72])},
    )
    netx_files.write(folder / "conv.net", netx_files.given((1, 6, 6)), *layers, netx_files.dense(np.ones((2, 72))))


def read_net(path: Path) -> None:
    source = open_source(path)
    with reading(path):
        compile(source, None, QUICK, LAVA)


class Two(torch.nn.Module):
    """What a user's state_dict belongs to."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = torch.nn.Linear(4, 3), torch.nn.Linear(3, 2)


def torch_seeds(folder: Path) -> None:
    torch.manual_seed(0)
    torch.save(Two().state_dict(), folder / "state.pt")
    torch.save({"model": Two().state_dict(), "epoch": 3, "lr": [0.1, {"a": None}]}, folder / "state_nested.pt")
    small = preset_config("fd-fusion", "small")
    save_checkpoint(build("fd-fusion", small), folder / "ours.pt", metadata={"data": "av-digits"})


def read_torch(path: Path) -> None:
    with reading(path):
        load_checkpoint(path, model=Two if path.name.startswith("state") else None)


def change_torch(rng: Rng, path: Path) -> None:
    change_archive(rng, path, change_pickle)


def change_bytes(rng: Rng, path: Path) -> None:
    """Flip a few bits of a few bytes, of a few that matter more than those of a whole run."""
    content = bytearray(path.read_bytes())
    for place in rng.integers(0, len(content), int(rng.integers(1, 5))):
        content[place] = int(pick(rng, [0, 1, 255, content[place] ^ 1 << int(rng.integers(8)), int(rng.integers(256))]))
    path.write_bytes(content)


GRAPHS = (
    Family("nir", nir_seeds, change_hdf5, read_nir),
    Family("hdf5", hdf5_seeds, change_bytes, read_hdf5),
    Family("net", net_seeds, change_hdf5, read_net),
    Family("torch", torch_seeds, change_torch, read_torch),
)
