"""L2 normalisation of a spike vector, as a layer that can be lowered to one constant for a chip."""

import torch
from torch import Tensor, nn


class L2Normalise(nn.Module):
    """y = scale x / |x| on every time step, where |x| is the Euclidean norm over all but the batch dimension; 0 stays 0.

    While training, the mean norm is tracked (exponential average over steps with a spike), because a chip divides by a constant:
    `folded_scale` gives that constant.

    Args:
        scale: length of the result. The default keeps about the number of ones of a usual embedding.
        momentum: weight of a new step in the running mean, in (0, 1].

    Buffers: running_norm, float32 scalar, 1 before training.
    """

    running_norm: Tensor

    def __init__(self, scale: float = 4.0, momentum: float = 0.05) -> None:
        super().__init__()
        self.scale, self.momentum = float(scale), float(momentum)
        self.register_buffer("running_norm", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, *shape), spikes or potentials; returns the same shape."""
        norm = x.flatten(1).norm(dim=1)
        if self.training:
            self._track(norm.detach())
        safe = torch.where(norm > 0, norm, 1.0)  # a tiny constant instead would give silent samples an enormous gradient
        return x * (self.scale / safe.reshape(-1, *[1] * (x.dim() - 1)))

    def _track(self, norm: Tensor) -> None:
        live = norm[norm > 0]
        if live.numel():
            self.running_norm.lerp_(live.mean().to(self.running_norm.dtype), self.momentum)

    def folded_scale(self) -> tuple[float, tuple[str, str]]:
        """The gain that stands for the layer on a chip, and (change, reason) for the ledger: scale / running mean norm."""
        norm = float(self.running_norm)
        gain = self.scale / norm
        return gain, (
            f"L2 normalisation replaced by the constant gain {gain:.6g} (scale {self.scale:g} / mean norm {norm:.6g})",
            "a chip's synapse multiplies by constants: the norm of each step cannot be computed there",
        )

    def extra_repr(self) -> str:
        return f"scale={self.scale}, momentum={self.momentum}"
