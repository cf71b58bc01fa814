"""Networks that snnTorch runs step by step and their NIR graphs by NIR's own equations: the same spikes, on every step."""

import nir
import torch
from snntorch_models import amplify, binary, leaky, randomise_norms, run_steps, synaptic
from torch import nn

from snnfuse.export.tracing import to_nir


class Fusion(nn.Module):
    """Two inputs, two spiking branches, joined."""

    def __init__(self) -> None:
        super().__init__()
        self.vision = nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), leaky(beta=0.8))
        self.audio = nn.Sequential(nn.Linear(6, 10), nn.Dropout(0.5), leaky(beta=0.9, reset_mechanism="zero"))
        self.drop = nn.Dropout(0.2)
        self.fuse = nn.Linear(26, 20)
        self.skip = nn.Linear(16, 20)
        self.hidden = synaptic(alpha=0.6, beta=0.9)
        self.read = nn.Linear(20, 5)
        self.out = leaky(beta=0.95, output=True)

    def forward(self, image, sound):
        v, a = self.vision(image), self.audio(sound)
        h = self.hidden(self.fuse(self.drop(torch.cat([v, a], dim=1))) + self.skip(v))
        return self.out(self.read(h))[0], v


def test_a_fusion_network_with_two_inputs(agree) -> None:
    torch.manual_seed(1)
    model, image, sound = Fusion(), binary(12), binary(6, seed=1)
    randomise_norms(model)
    amplify(model, 2.0)
    out, vision = run_steps(model, image, sound)
    graph = agree(to_nir(model, (image[0], sound[0])), {"image": image, "sound": sound}, {"output_0": out, "output_1": vision})
    assert {"fuse.0", "fuse.1", "vision.0", "vision.2", "hidden.current"} <= graph.nodes.keys()
    assert "vision.1" not in graph.nodes
    assert graph.nodes["fuse.0"].weight.shape == (20, 16) and graph.nodes["fuse.1"].weight.shape == (20, 10)


def test_a_convolutional_network(agree) -> None:
    torch.manual_seed(2)
    channels = torch.linspace(0.6, 0.9, 6)[:, None, None]
    model = nn.Sequential(
        nn.Conv2d(2, 6, (3, 5), stride=(1, 2), padding=(1, 2), bias=False),
        nn.BatchNorm2d(6),
        leaky(beta=channels),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(6, 6, 4, padding="same", groups=3),
        nn.Identity(),
        leaky(beta=0.7, threshold=0.8, reset_mechanism="zero"),
        nn.AvgPool2d(2, padding=1),
        nn.Conv2d(6, 8, 2, dilation=2),
        leaky(beta=0.9),
        nn.Flatten(),
        nn.Linear(32, 5),
        leaky(beta=0.9),
    )
    x = binary(2, 12, 24)
    randomise_norms(model)
    amplify(model, 3.0)
    graph = agree(to_nir(model, x[0]), {"input": x}, {"output": run_steps(model, x)[0]})
    assert graph.nodes["4"].groups == 1 and graph.nodes["4"].weight.shape == (6, 6, 5, 5)
    assert isinstance(graph.nodes["3.sum"], nir.SumPool2d) and isinstance(graph.nodes["3"], nir.Threshold)


def test_concatenated_channels_through_pool_and_flatten(agree) -> None:
    class Channels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 3, 3, padding="same")
            self.la, self.lb = (leaky(beta=0.8) for _ in range(2))
            self.pool, self.conv = nn.MaxPool2d(2), nn.Conv2d(5, 4, 1)
            self.lc, self.fc = leaky(beta=0.8), nn.Linear(5 * 9 + 4 * 9, 3)
            self.out = leaky(beta=0.8)

        def forward(self, x):
            both = self.pool(torch.cat((self.la(self.a(x)), self.lb(self.b(x))), 1))
            deep = self.lc(self.conv(both))
            return self.out(self.fc(torch.cat([torch.flatten(both, 1), deep.view(deep.size(0), -1)], dim=-1)))

    torch.manual_seed(3)
    model, x = Channels(), binary(1, 6, 6)
    amplify(model, 3.0)
    agree(to_nir(model, x[0]), {"x": x}, {"output": run_steps(model, x)[0]})
