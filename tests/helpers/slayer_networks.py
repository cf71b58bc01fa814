"""Small networks of lava-dl's SLAYER, trained for one step and exported by SLAYER itself, as a script.

    python slayer_networks.py FOLDER

FOLDER gets NAME.net and NAME.npz for each: x, the input, and y0, y1, ... what each block with neurons sends, (time, batch, *shape).
"""

import sys
from pathlib import Path

import h5py
import numpy as np
import torch

from snnfuse.hardware.backends.lava.compat import patched_imports

with patched_imports():
    from lava.lib.dl.slayer.axon import Delay
    from lava.lib.dl.slayer.block import cuba, sigma_delta
    from lava.lib.dl.slayer.neuron.norm import MeanOnlyBatchNorm

STEPS, SAMPLES = 120, 3
NEURON = {"threshold": 1.25, "current_decay": 0.25, "voltage_decay": 0.03, "requires_grad": True}
PER_NEURON = NEURON | {"shared_param": False, "current_decay": (0.1, 0.6), "voltage_decay": (0.01, 0.3)}


def dense(delay: bool = False, **neuron) -> list[torch.nn.Module]:
    return [
        cuba.Dense(PER_NEURON | neuron, 10, 16, weight_scale=6, delay=delay),
        cuba.Dense(NEURON | neuron, 16, 6, weight_scale=4, delay=delay),
    ]


def conv(delay: bool = False) -> list[torch.nn.Module]:
    geometry = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}
    return [
        cuba.Input(None, delay_shift=False),
        cuba.Conv(dict(NEURON), 2, 4, 3, weight_scale=4, delay=delay, **geometry),
        cuba.Conv(dict(NEURON), 4, 6, 2, weight_scale=3, delay=delay),
        cuba.Flatten(),
        cuba.Dense(dict(NEURON), 72, 5, weight_scale=3),
    ]


def recurrent(delay: bool = False) -> list[torch.nn.Module]:
    return [
        cuba.Recurrent(dict(NEURON), 10, 12, weight_scale=4, delay=delay),
        cuba.Dense(dict(NEURON), 12, 6, weight_scale=4, delay=delay),
    ]


NETWORKS = {
    "dense": (dense, {}, (10,)),
    "dense_delay": (dense, {"delay": True}, (10,)),
    "bias": (dense, {"norm": MeanOnlyBatchNorm}, (10,)),
    "bias_delay": (dense, {"delay": True, "norm": MeanOnlyBatchNorm}, (10,)),
    "conv": (conv, {}, (2, 8, 9)),
    "conv_delay": (conv, {"delay": True}, (2, 8, 9)),
    "recurrent": (recurrent, {}, (10,)),
    "recurrent_delay": (recurrent, {"delay": True}, (10,)),
}


def run(layers: torch.nn.ModuleList, x: torch.Tensor) -> list[torch.Tensor]:
    """What each block sends, from rest."""
    for module in layers.modules():
        for state in ("current_state", "voltage_state", "spike_state"):
            if hasattr(module, state):
                setattr(module, state, torch.zeros(1))
        module.delay_buffer = None
    sent = []
    for layer in layers:
        x = layer(x)
        sent.append(x)
    return sent


def train(layers: torch.nn.ModuleList, x: torch.Tensor) -> None:
    """One step, towards one more spike per neuron and time; then delays of up to a dozen steps."""
    run(layers, x)
    optimizer = torch.optim.SGD(layers.parameters(), lr=1e-3)
    loss = (1 - run(layers, x)[-1]).square().mean()
    loss.backward()
    optimizer.step()
    for module in layers.modules():
        if isinstance(module, Delay):
            module.delay.data = 12 * torch.rand_like(module.delay)


def denoiser(folder: Path, inputs: int = 9, hidden: int = 12) -> None:
    """denoiser.net: Intel's N-DNS baseline in small, with axonal delays of up to its 64 steps, two more than netx and the chip take."""
    torch.manual_seed(0)
    neuron = {"threshold": 0.1, "tau_grad": 0.1, "scale_grad": 0.8, "shared_param": True, "activation": torch.nn.functional.relu}
    layers = torch.nn.ModuleList([
        sigma_delta.Input(neuron),
        sigma_delta.Dense(neuron, inputs, hidden, weight_scale=4, delay=True, delay_shift=True),
        sigma_delta.Dense(neuron, hidden, hidden, weight_scale=4, delay=True, delay_shift=True),
        sigma_delta.Output(neuron, hidden, inputs, weight_scale=4),
    ])  # fmt: skip
    x = torch.rand(1, inputs, 20)
    for layer in layers:
        x = layer(x)
    for layer in (layers[1], layers[2]):
        layer.delay.max_delay = 64
        layer.delay.delay.data = 64.9 * torch.linspace(0, 1, hidden).reshape(layer.delay.delay.shape) ** 3
    with h5py.File(folder / "denoiser.net", "w") as file:
        for i, layer in enumerate(layers):
            layer.export_hdf5(file.create_group(f"layer/{i}"))


def main(folder: Path) -> None:
    denoiser(folder)
    for seed, (name, (make, arguments, shape)) in enumerate(NETWORKS.items()):
        torch.manual_seed(seed)
        layers, x = torch.nn.ModuleList(make(**arguments)), (torch.rand(SAMPLES, *shape, STEPS) < 0.3).float()
        train(layers, x)
        layers.eval()
        with torch.no_grad():
            sent = run(layers, x)
        with h5py.File(folder / f"{name}.net", "w") as file:
            for i, layer in enumerate(layers):
                layer.export_hdf5(file.create_group(f"layer/{i}"))
        outputs = [y for y, layer in zip(sent, layers) if hasattr(layer, "neuron") and layer.neuron is not None]
        arrays = {"x": x} | {f"y{i}": y for i, y in enumerate(outputs)}
        np.savez(folder / f"{name}.npz", **{key: np.moveaxis(value.numpy(), -1, 0) for key, value in arrays.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
