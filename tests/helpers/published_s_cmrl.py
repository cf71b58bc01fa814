"""What S-CMRL's authors' code computes, restated by its names: parameters of theirs, and their forward over all steps in plain torch.

Shapes are theirs: (T, batch, C, N) between layers. Weights are on a grid, so that no sum is rounded whatever its order.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv2d, linear, max_pool2d

HEADS, ALPHA = 2, 1.5
ALONE = ("image", "audio")
Weights = dict[str, Tensor]


def neuron(x: Tensor) -> Tensor:
    """v += (x - v) / 2 from 0, a spike at 1 and above, back to 0; over the first axis."""
    v, spikes = torch.zeros_like(x[0]), []
    for now in x:
        v = v + (now - v) / 2
        spikes.append((v >= 1).float())
        v = v * (1 - spikes[-1])
    return torch.stack(spikes)


class Theirs:
    """Random weights by their names, of a fusion of theirs.

    Attributes:
        weights: their state_dict; `read` collects the names that forward reads, so that the rest is known to be dead.
    """

    def __init__(self, method: str, *, classes: int = 3, channels: int = 16, image: int = 2, deep: bool = False, seed: int = 0) -> None:
        self.method, self.deep, self.c = method, deep, channels
        self.weights: Weights = {}
        self.read: set[str] = set()
        self.random = torch.Generator().manual_seed(seed)
        if method in ALONE:
            self.alone(image if method == "image" else 1, classes)
            return
        for name, before in {"audio_patch_embed": 1, "visual_patch_embed": image}.items():
            self.patches(name, before)
        for block in ("block.0", "block.1"):
            self.block(block)
        for number in range(2):
            self.perceptron(f"mlp.{number}.mlp")
        self.linear("av_attention.fc", channels, 32)
        for number in range(2):
            self.linear(f"av_attention.fcs.{number}", 32, channels)
        for head in ("head.0", "head.1", "head.2") if method == "CMCI" else ("head",):
            self.linear(head, channels, classes)

    def alone(self, before: int, classes: int) -> None:
        """Their network of one modality, "Spikformer": a block with attention to itself and a perceptron of its own."""
        self.patches("patch_embed", before)
        self.block("block.0")
        self.attention("block.0.attn")
        self.perceptron("block.0.mlp")
        self.linear("head", self.c, classes)

    # ---- parameters

    def put(self, name: str, *shape: int, low: int = -4, high: int = 5, unit: float = 1 / 8) -> None:
        self.weights[name] = torch.randint(low, high, shape, generator=self.random) * unit

    def node(self, name: str) -> None:
        self.weights |= {f"{name}.threshold": torch.tensor(1.0), f"{name}.act_fun.alpha": torch.tensor(4.0)}

    def linear(self, name: str, before: int, after: int, unit: float = 1 / 8) -> None:
        self.put(f"{name}.weight", after, before, unit=unit)
        self.put(f"{name}.bias", after, unit=unit)

    def layer(self, name: str, number: str, before: int, after: int, kernel: tuple[int, ...], low: int = -2) -> None:
        self.put(f"{name}_conv{number}.weight", after, before, *kernel)
        norm = f"{name}_bn{number}"
        self.weights |= {f"{norm}.weight": torch.full((after,), 2.0), f"{norm}.running_mean": torch.zeros(after)}
        self.put(f"{norm}.bias", after, low=low, high=8, unit=1 / 4)
        self.weights |= {f"{norm}.running_var": torch.full((after,), 1 - 1e-5), f"{norm}.num_batches_tracked": torch.tensor(7)}
        self.node(f"{name}_lif{number}")

    def patches(self, name: str, before: int) -> None:
        stages = 4 if self.deep else 2
        widths = [before, *(self.c // 2**i for i in reversed(range(stages)))]
        for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
            self.layer(f"{name}.proj", str(i or ""), a, b, (3, 3))
        self.layer(f"{name}.rpe", "", self.c, self.c, (3, 3))

    def attention(self, name: str) -> None:
        for letter in "qkv":
            self.layer(f"{name}.{letter}", "", self.c, self.c, (1,), low=0)
        self.layer(f"{name}.proj", "", self.c, self.c, (1,))
        for unused in ("res_lif", "attn_lif"):
            self.node(f"{name}.{unused}")

    def perceptron(self, name: str) -> None:
        for number, (a, b) in enumerate(((self.c, 4 * self.c), (4 * self.c, self.c)), 1):
            self.layer(f"{name}.fc{number}", "", a, b, (1,))
            self.put(f"{name}.fc{number}_conv.bias", b)

    def block(self, name: str) -> None:
        for norm in ("norm1", "norm2"):
            self.weights |= {f"{name}.{norm}.weight": torch.ones(self.c), f"{name}.{norm}.bias": torch.zeros(self.c)}
        if self.method == "SpatialTemporal":
            self.attention(f"{name}.attn.spatial_attn")
            self.attention(f"{name}.attn.temporal_attn")
        elif self.method in ("Spatial", "Temporal"):
            self.attention(f"{name}.attn")
        elif self.method == "WeightAttention":
            self.linear(f"{name}.attn.fc1", 2 * self.c, self.c)
            self.linear(f"{name}.attn.fc2", self.c, 1)
        elif self.method == "CMCI":
            self.linear(f"{name}.attn.fc1", self.c, self.c)
            self.linear(f"{name}.attn.fc2", self.c, self.c)
            self.node(f"{name}.attn.v_lif")
            self.perceptron(f"{name}.attn.mlp.mlp")
        if self.method in ("SpatialTemporal", "Spatial", "Temporal"):
            self.linear(f"{name}.trans_linear", self.c, self.c, unit=1 / 2)
            self.node(f"{name}.trans_lif")

    # ---- their forward

    def __getitem__(self, name: str) -> Tensor:
        self.read.add(name)
        return self.weights[name]

    def run_layer(self, x: Tensor, name: str, number: str = "") -> Tensor:
        """Convolution over what lies behind (T, batch), norm, neurons."""
        weight, bias = self[f"{name}_conv{number}.weight"], None
        if "fc" in name:
            bias = self[f"{name}_conv{number}.bias"]
        y = conv2d(x.flatten(0, 1), weight, bias, padding=1) if weight.dim() == 4 else conv1d(x.flatten(0, 1), weight, bias)
        gain, shift, mean, var = (self[f"{name}_bn{number}.{part}"] for part in ("weight", "bias", "running_mean", "running_var"))
        y = nn.functional.batch_norm(y, mean, var, gain, shift, training=False)
        return neuron(y.unflatten(0, x.shape[:2]))

    def run_patches(self, x: Tensor, name: str) -> Tensor:
        for i in range(4 if self.deep else 2):
            x = self.run_layer(x, f"{name}.proj", str(i or ""))
            x = max_pool2d(x.flatten(0, 1), 3, 2, 1).unflatten(0, x.shape[:2])
        return (x + self.run_layer(x, f"{name}.rpe")).flatten(3)

    def run_spatial(self, x: Tensor, y: Tensor, name: str) -> Tensor:
        t, b, c, n = x.shape
        q, k, v = (
            self.run_layer(z, f"{name}.{letter}").reshape(t, b, HEADS, c // HEADS, n).mT for z, letter in ((x, "q"), (y, "k"), (y, "v"))
        )
        found = 0.25 * (q @ k.mT) @ v  # t b h n d
        return self.run_layer(neuron(found.mT.reshape(t, b, c, n)), f"{name}.proj")

    def run_temporal(self, x: Tensor, y: Tensor, name: str) -> Tensor:
        t, b, c, n = x.shape
        q, k, v = (
            self.run_layer(z, f"{name}.{letter}").permute(3, 1, 0, 2).reshape(n, b, t, HEADS, c // HEADS).transpose(2, 3)
            for z, letter in ((x, "q"), (y, "k"), (y, "v"))
        )
        found = 0.25 * (q @ k.mT) @ v  # n b h t d, read below as if it were n b t (h d)
        return self.run_layer(neuron(found.reshape(n, b, t, c).permute(2, 1, 3, 0)), f"{name}.proj")

    def run_perceptron(self, x: Tensor, name: str) -> Tensor:
        return x + self.run_layer(self.run_layer(x, f"{name}.fc1"), f"{name}.fc2")

    def run_block(self, x: Tensor, y: Tensor, name: str) -> Tensor:
        if self.method == "WeightAttention":
            both = torch.cat((x.mean(3), y.mean(3)), 2)
            mixed = linear(both, self[f"{name}.attn.fc1.weight"], self[f"{name}.attn.fc1.bias"])
            return linear(mixed, self[f"{name}.attn.fc2.weight"], self[f"{name}.attn.fc2.bias"])[..., None] * x
        if self.method == "SpatialTemporal":
            a = self.run_spatial(x, y, f"{name}.attn.spatial_attn").mean(3, keepdim=True)
            found = a * self.run_temporal(x, y, f"{name}.attn.temporal_attn").mean(0, keepdim=True)
        else:
            found = (self.run_spatial if self.method == "Spatial" else self.run_temporal)(x, y, f"{name}.attn")
        mixed = linear(found.mT, self[f"{name}.trans_linear.weight"], self[f"{name}.trans_linear.bias"])
        return x + ALPHA * neuron(mixed).mT

    def __call__(self, image: Tensor, audio: Tensor) -> Tensor:
        """(T, batch, channels, height, width) each -> class scores (batch, classes)."""
        if self.method in ALONE:
            x = self.run_patches(image if self.method == "image" else audio, "patch_embed")
            x = self.run_perceptron(x + self.run_spatial(x, x, "block.0.attn"), "block.0.mlp")
            return linear(x.mean((0, 3)), self["head.weight"], self["head.bias"])
        x, y = self.run_patches(audio, "audio_patch_embed"), self.run_patches(image, "visual_patch_embed")
        if self.method == "CMCI":
            current = linear(x.mT, self["block.0.attn.fc1.weight"], self["block.0.attn.fc1.bias"])
            current = current + linear(y.mT, self["block.0.attn.fc2.weight"], self["block.0.attn.fc2.bias"])
            both = self.run_perceptron(neuron(current.mT), "block.0.attn.mlp.mlp")
            return linear(both.mean((0, 3)), self["head.0.weight"], self["head.0.bias"])
        if self.method != "add":
            x, y = self.run_block(x, y, "block.0"), self.run_block(y, x, "block.1")
        fused = self.run_perceptron(x, "mlp.0.mlp").mean(3) + self.run_perceptron(y, "mlp.1.mlp").mean(3)
        return linear(fused.mean(0), self["head.weight"], self["head.bias"])


def pictures(image: int = 2, size: int = 8, steps: int = 4) -> tuple[Tensor, Tensor]:
    """Inputs on a grid, image and audio."""
    random = torch.Generator().manual_seed(1)
    return tuple(torch.randint(-8, 9, (steps, 3, channels, size, size), generator=random) / 8 for channels in (image, 1))  # type: ignore
