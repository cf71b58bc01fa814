"""L2 normalisation, y = scale x / |x|: the layer that places a network's features on a sphere, in the three places where it can stand.

    per step, of spikes        L2Normalise behind a layer of neurons: k spikes of a step become k values scale / sqrt(k)
    per step, of potentials    L2Membrane: the input is integrated first, and the membranes are normalised
    of averages over time      L2Normalise as the host module of a `Carry` with the reduction "mean" or "count"; the network is `Staged`.
                               Mean and count give the same, for the norm takes the factor away

How each comes onto a chip is in docs/l2.md.
"""

import snntorch
import torch
from torch import Tensor, nn

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.host_steps import Normalise


class L2Normalise(nn.Module):
    """y = scale x / |x| of each sample, where |x| is the Euclidean norm over all but the batch dimension; 0 stays 0.

    x may be spikes or potentials of a time step, or averages over time. While training, the mean norm is tracked (exponential average
    over samples and steps that are not silent), because a chip's synapse multiplies by constants only: `folded_scale` gives that
    constant. `host_step` says what a host between two programs computes instead.

    Args:
        scale: length of the result. The default keeps about the number of ones of a usual embedding.
        momentum: weight of a new step in the running mean, in (0, 1].

    Buffers: running_norm, float32 scalar, 1 before training.

    Raises:
        InputError: scale or momentum is out of range.
    """

    running_norm: Tensor

    def __init__(self, scale: float = 4.0, momentum: float = 0.05) -> None:
        super().__init__()
        if not 0 < scale < float("inf") or not 0 < momentum <= 1:
            raise InputError(f"L2 normalisation needs a positive scale and a momentum in (0, 1], not {scale} and {momentum}")
        self.scale, self.momentum = float(scale), float(momentum)
        self.register_buffer("running_norm", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (batch, *shape): spikes, potentials or averages. Returns the same shape."""
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

    def host_step(self) -> Normalise:
        """Return the host step that computes the layer exactly."""
        return Normalise(self.scale)

    def extra_repr(self) -> str:
        return f"scale={self.scale}, momentum={self.momentum}"


class L2Membrane(nn.Module):
    """v_t = beta v_{t-1} + x_t, y_t = scale v_t / |v_t|: membranes without threshold, normalised on every step.

    The membranes are an integrator's of their own, which never resets: what it passes on are potentials, not spikes, which no synapse of a
    chip carries, so an export refuses it by name. Trained, it is what normalised spikes are measured against.

    Args:
        beta: decay of the membrane per step, in [0, 1).
        scale, momentum: as of `L2Normalise`.
    """

    def __init__(self, beta: float = 0.85, scale: float = 4.0, momentum: float = 0.05) -> None:
        super().__init__()
        if not 0 <= beta < 1:
            raise InputError(f"beta must lie in [0, 1), not be {beta}")
        self.integrator = snntorch.Leaky(beta, reset_mechanism="none", init_hidden=True, output=True)
        self.l2 = L2Normalise(scale, momentum)

    def forward(self, x: Tensor) -> Tensor:
        """Integrate currents x (batch, *shape); return normalised potentials of the same shape."""
        _, membrane = self.integrator(x)
        return self.l2(membrane)
