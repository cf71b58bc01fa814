"""A small audio-visual fusion network in snnTorch, with the chip's reset (to zero, at once), and spike patterns to train it on."""

import numpy as np
import snntorch
import torch
from snntorch import utils
from torch import nn

TIME, CLASSES, PIXELS, BANDS = 16, 4, 16, 8
CHIP = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False}


class Fusion(nn.Module):
    """One time step: image (batch, 16) and audio (batch, 8) to spikes (batch, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.see, self.seen = nn.Linear(PIXELS, 24), snntorch.Leaky(beta=0.9, **CHIP)
        self.hear, self.heard = nn.Linear(BANDS, 16), snntorch.Leaky(beta=0.95, **CHIP)
        self.fuse, self.fused = nn.Linear(24 + 16, CLASSES), snntorch.Leaky(beta=0.9, **CHIP)

    def forward(self, image: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        seen, heard = self.seen(self.see(image)), self.heard(self.hear(audio))
        return self.fused(self.fuse(torch.cat((seen, heard), dim=1)))


def patterns(samples: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Binary spikes (time, samples, neurons) by input, each class with firing rates of its own, and labels (samples,)."""
    shared, rng = np.random.default_rng(0), np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=samples)
    inputs = {}
    for name, size in (("image", PIXELS), ("audio", BANDS)):
        rates = shared.uniform(0.05, 0.6, (CLASSES, size))
        inputs[name] = (rng.random((TIME, samples, size)) < rates[labels]).astype(np.float32)
    return inputs, labels


def train(epochs: int = 50) -> Fusion:
    """A network that has learned the patterns; a few seconds. A project of yours loads its checkpoint here instead."""
    torch.manual_seed(0)
    net = Fusion()
    inputs, labels = patterns(128, seed=1)
    image, audio = (torch.from_numpy(inputs[name]) for name in ("image", "audio"))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(epochs):
        utils.reset(net)
        counts = sum(net(image[t], audio[t]) for t in range(TIME))
        loss = nn.functional.cross_entropy(counts, torch.from_numpy(labels))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval()
