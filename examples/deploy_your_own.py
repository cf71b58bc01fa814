"""A network of your own, from snnTorch to a Loihi 2 program that runs on the emulator and on Lava.

    python examples/deploy_your_own.py [bundle]

The network is snnTorch's usual one, with the chip's reset (to zero, at once); it learns to tell three random spike patterns apart.
"""

import sys

import numpy as np
import snntorch
import torch
from snntorch import utils
from torch import nn

from snnfuse.export import quantize, to_nir, write_bundle
from snnfuse.hardware import compare, emulate, simulate_on_lava

TIME, CLASSES = 20, 3
CHIP = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False}


class Net(nn.Module):
    """One time step: (batch, 16) to spikes (batch, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(16, 32), snntorch.Leaky(beta=0.9, **CHIP)
        self.fc2, self.lif2 = nn.Linear(32, CLASSES), snntorch.Leaky(beta=0.9, **CHIP)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))


def patterns(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Binary spikes (time, samples, 16), each class with firing rates of its own, and labels (samples,)."""
    rates = np.random.default_rng(0).uniform(0.05, 0.6, (CLASSES, 16))
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=samples)
    return (rng.random((TIME, samples, 16)) < rates[labels]).astype(np.float32), labels


def train(net: Net, epochs: int = 150) -> None:
    spikes, labels = (torch.from_numpy(array) for array in patterns(128, seed=1))
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(epochs):
        utils.reset(net)
        counts = sum(net(step) for step in spikes)
        loss = nn.functional.cross_entropy(counts, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def main(path: str = "out/own") -> None:
    torch.manual_seed(0)
    net = Net()
    train(net)
    calibration, _ = patterns(64, seed=2)
    spikes, labels = patterns(200, seed=3)

    graph = to_nir(net, torch.from_numpy(spikes[0]))  # one time step shows the shapes
    program = quantize(graph, calibration)
    events = program.encode(spikes)
    recording = emulate(program, events)
    print(f"emulator: {(program.decode(recording) == labels).mean():.1%} of {len(labels)} samples (spike count, ties to the lowest index)")
    for entry in program.ledger:
        print(f"changed: {entry.node}: {entry.change}: {entry.effect}")

    few = {name: array[:, :16] for name, array in events.items()}
    golden = emulate(program, few, "all", states=True)
    result = compare(golden, simulate_on_lava(program, few, "all", states=True))
    print(f"Lava: {result.mismatches} of {result.compared} spikes and states differ")
    write_bundle(path, graph=graph, program=program, events=few, golden=golden, force=True)
    print(f"bundle: {path}; check it with: snnfuse verify {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
