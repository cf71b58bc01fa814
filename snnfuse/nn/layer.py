"""One population with the float weights that its integers are rounded from, run over time as the chip runs it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from snnfuse.export.lowering.network import Projection
from snnfuse.export.quantization.fitting import Fit
from snnfuse.export.quantization.rounding import FULL_SCALE, Rounds
from snnfuse.hardware.backends.torch_backend.arithmetic import DTYPE, LifTensors, State, lif_tensors, rest, shift, step
from snnfuse.hardware.backends.torch_backend.precision import needs_wrap24, needs_wrap32
from snnfuse.hardware.ir.fixed_point import (
    ALIGN_BITS,
    BIAS_EXPONENT_RANGE,
    BIAS_MANTISSA_RANGE,
    INT32,
    NEVER,
    THRESHOLD_LIMIT,
    WEIGHT_BITS,
)
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.synapses import Dense, Synapse
from snnfuse.nn.gradients import Bounded, Fire, StandIn, trunc_through
from snnfuse.nn.groups import grids, integers, reach
from snnfuse.nn.products import Synapses, Weighted, operator

FARTHEST = 4.0  # factor by which a threshold scale may be learnt to be larger or smaller: beyond, weights leave their exponents' range


@dataclass(frozen=True, eq=False)
class Incoming:
    """A projection into a layer.

    Attributes:
        projection: its weights in theta per unit of what the source stands for.
        rounds: the grids that its synapse groups lie on.
        payload: largest magnitude that the source sends.
        unit: what a payload of 1 stands for; 1 but for graded inputs.
        late: steps by which it arrives, one more than its lag where it is recurrent.
    """

    projection: Projection
    rounds: Rounds
    payload: int
    unit: float
    late: int

    @property
    def is_recurrent(self) -> bool:
        """Whether it feeds its own population."""
        return self.projection.source == self.projection.target


class Trace(NamedTuple):
    """A population over time, each float64 (time, batch, neurons); the states None unless asked for."""

    spikes: Tensor
    u: Tensor | None
    v: Tensor | None


class FixedPointLayer(nn.Module):
    """A population of Loihi's neurons (`snnfuse.hardware.ir.lif`) and the synapses into it.

    Parameters, in units of theta, float64: `weights`, one tensor per projection in the structure's own layout; `bias`, added to the
    voltage, one number per neuron or, where a channel shares it, per channel; `current_bias`, added to the current likewise, where
    the population takes it from a constant. A weight that is 0 is a missing synapse, and stays 0; a bias that no neuron has, too.
    `stretch`: K over the one that calibration found. Exponents stay, so what is learnt is the step between weights over the threshold,
    as in Esser et al. 2020, where the chip has steps that are powers of two and thresholds that are integers.

    Args:
        name: of the population.
        fit: its registers, its scale K and where its bias goes; weights, biases and thresholds are replaced.
        theta: float thresholds (*shape), in the units of the weights.
        incoming: its projections.
        biases: float (*shape) that are added to the voltage, and to the current, in units of theta per step.
        column: grids of the synapse groups from the constant, () where the current takes no bias.
        slope: of the surrogate gradient.
        learns_scale: whether `stretch` is trained, of neurons that fire.
    """

    theta: Tensor

    def __init__(
        self,
        name: str,
        fit: Fit,
        theta: NDArray[np.float64],
        incoming: tuple[Incoming, ...],
        biases: tuple[NDArray[np.float64], NDArray[np.float64]],
        column: Rounds,
        slope: float,
        learns_scale: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.fitted, self.incoming, self.column, self.slope = name, fit, incoming, column, slope
        assert isinstance(fit.lif, Lif)  # populations of other kinds are refused before layers are made
        self.lif, self.scale_found = fit.lif, fit.scale
        self.register_buffer("theta", torch.as_tensor(np.asarray(theta, np.float64).reshape(-1)), persistent=False)
        self.stretch = nn.Parameter(torch.ones((), dtype=DTYPE), requires_grad=learns_scale and not self.is_readout)
        self.synapses = [Synapses(operator(i.projection.weights), i.rounds, i.payload) for i in incoming]
        self.weights = nn.ParameterList(_weights(i.projection) for i in incoming)
        for position, i in enumerate(incoming):
            self.register_buffer(f"present_{position}", _present(i.projection), persistent=False)
        self.bias = _shared(biases[0])
        self.current_bias = _shared(biases[1]) if column else None
        drive = min(sum(s.drive for s in self.synapses) + int(sum(FULL_SCALE * 2.0 ** max(g.exponent, 0) for g in grids(column))), INT32)
        self._wraps = needs_wrap32(self.lif, drive), needs_wrap24(self.lif, drive)

    @property
    def neurons(self) -> int:
        """How many."""
        return int(np.prod(self.lif.shape))

    @property
    def is_readout(self) -> bool:
        """Whether it never fires."""
        return bool(np.min(self.lif.vth) >= 1 << 17)

    @property
    def scale(self) -> float:
        """K, the integer threshold for theta = 1."""
        return float(self._scale().detach())

    def _scale(self) -> Tensor:
        """K, (), no farther from the one found than `FARTHEST`, nor than thresholds of 1 or of 17 bits."""
        if self.is_readout:
            return self.stretch.new_tensor(self.scale_found)
        found = self.theta * self.scale_found
        low, high = max(1 / FARTHEST, float(1 / found.min())), min(FARTHEST, float((THRESHOLD_LIMIT - 1) / found.max()))
        stretch = self.stretch.to(DTYPE)
        return StandIn.apply(Bounded.apply(stretch, low, high), stretch.detach().clamp(min(low, 1.0), max(high, 1.0))) * self.scale_found

    def _thresholds(self) -> Tensor:
        """Integers, float64 (neurons,)."""
        if self.is_readout:
            return torch.full_like(self.theta, NEVER)
        wanted = self.theta * self._scale()
        return StandIn.apply(wanted, torch.round(wanted.detach()))

    def forward(self, sent: Mapping[str, Tensor], states: bool = False, forced: bool = False) -> Trace:
        """All steps.

        Args:
            sent: payloads of the sources, float32 (time, batch, neurons).
            states: whether to keep current and voltage.
            forced: whether recurrent connections bring what `sent` holds for the population itself, in place of its own spikes.
        """
        wanted = [self.wanted(position) for position in range(len(self.incoming))]
        weighted = [s.rounded(w) for s, w in zip(self.synapses, wanted)]
        size = next(iter(sent.values())).shape[:2]
        drive = self._drive(sent, wanted, weighted, size, forced)
        feedback = [(i.late, g, w) for i, g, w in zip(self.incoming, weighted, wanted) if i.is_recurrent and not forced]
        return self._steps(drive, feedback, states)

    def wanted(self, position: int) -> Tensor:
        """A projection's weights times K."""
        i, weights, present = self.incoming[position], self.weights[position], getattr(self, f"present_{position}")
        wanted = weights.to(DTYPE) * (self._scale() * i.unit)
        return Bounded.apply(wanted if present is None else wanted * present, *reach(i.rounds))

    def _drive(self, sent: Mapping[str, Tensor], wanted: list[Tensor], weighted: list[Weighted], size: torch.Size, forced: bool) -> Tensor:
        """What arrives from other populations and the constant, float64 (time, batch, neurons)."""
        drive = torch.zeros(*size, self.neurons, dtype=DTYPE, device=self.bias.device)
        for i, w, groups in zip(self.incoming, wanted, weighted):
            if forced or not i.is_recurrent:
                rows = later(sent[i.projection.source], i.late)
                drive = drive + groups.arriving(rows.flatten(0, 1), w).unflatten(0, tuple(size))
        return drive if self.current_bias is None else drive + self._column()

    def _column(self) -> Tensor:
        """What the constant brings on every step, (neurons,)."""
        wanted = self._column_wanted()
        value = sum(shift(n, g.exponent) for n, g in zip(integers(wanted, self.column), grids(self.column)))
        return StandIn.apply(wanted, value)

    def _column_wanted(self) -> Tensor:
        return Bounded.apply(self._per_neuron(self.current_bias) * self._scale(), *reach(self.column))

    def _per_neuron(self, values: Tensor) -> Tensor:
        return values.to(DTYPE).expand(self.lif.shape).reshape(-1)

    def bias_registers(self) -> tuple[Tensor, Tensor]:
        """Mantissa and exponent of what is added to the voltage, float64 (neurons,): the smallest exponent at which it fits."""
        low, high = BIAS_EXPONENT_RANGE
        most = BIAS_MANTISSA_RANGE[1]
        wanted = self._bias_wanted().detach()
        exponent = torch.clamp(torch.ceil(torch.log2(torch.clamp(wanted.abs() / most, min=1.0))), low, high)
        return torch.clamp(torch.round(wanted / 2.0**exponent), -most, most), exponent

    def _bias_wanted(self) -> Tensor:
        most = float(BIAS_MANTISSA_RANGE[1] << BIAS_EXPONENT_RANGE[1])
        return Bounded.apply(self._per_neuron(self.bias) * (self._scale() * (1 << ALIGN_BITS)), -most, most)

    def _lif_tensors(self) -> LifTensors:
        mantissa, exponent = self.bias_registers()
        bias = StandIn.apply(self._bias_wanted(), mantissa * 2.0**exponent)
        threshold = self._thresholds() * (1 << ALIGN_BITS)
        return lif_tensors(self.lif, self.bias.device, *self._wraps)._replace(bias=bias, threshold=threshold)

    def _fire(self, lif: LifTensors) -> Callable[[Tensor], Tensor]:
        return partial(_fire, threshold=lif.threshold, slope=self.slope)

    def _steps(self, drive: Tensor, feedback: list[tuple[int, Weighted, Tensor]], states: bool) -> Trace:
        lif = self._lif_tensors()
        fire, state = self._fire(lif), rest(drive.shape[1], self.neurons, drive.device)
        spikes: list[Tensor] = []
        kept: list[State] = []
        for t, a in enumerate(drive.unbind(0)):
            for late, groups, wanted in feedback:
                if t >= late:
                    a = a + groups.arriving(spikes[t - late], wanted)
            fired, state = step(lif, state, a, trunc_through, fire, torch.Tensor.detach)
            spikes.append(fired.float())
            if states or self.is_readout:
                kept.append(state)
        return Trace(torch.stack(spikes), *(torch.stack(values) for values in zip(*kept)) if kept else (None, None))

    @torch.no_grad()
    def fit(self) -> Fit:
        """The population in the integers that forward uses."""
        synapses = tuple(
            _stored(i.projection, i.rounds, integers(self.wanted(position), i.rounds)) for position, i in enumerate(self.incoming)
        )
        mantissa, exponent = (_register(x, self.lif.shape) for x in self.bias_registers())
        column: tuple[Synapse, ...] = ()
        if self.current_bias is not None:
            parts = integers(self._column_wanted(), self.column)
            column = tuple(Dense(_int32(n).reshape(-1, 1), g.exponent, WEIGHT_BITS) for n, g in zip(parts, grids(self.column)))
        lif = replace(self.lif, vth=_register(self._thresholds(), self.lif.shape), bias_mant=mantissa, bias_exp=exponent)
        return replace(self.fitted, lif=lif, synapses=synapses, bias=column, scale=self.scale, saturated=self._saturated())

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, local_metadata: Any, strict: bool, missing_keys: list[str],
        unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        """Files of before scales were learnt lack them."""
        state_dict.setdefault(f"{prefix}stretch", torch.ones_like(self.stretch))
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)

    def _saturated(self) -> int:
        """Weights beyond the range of their groups."""
        wanted = [(self.wanted(position), *reach(i.rounds)) for position, i in enumerate(self.incoming)]
        return sum(int(((w < low) | (w > high)).sum()) for w, low, high in wanted)


def later(values: Tensor, steps: int) -> Tensor:
    """The same some steps later, nothing before."""
    if not steps:
        return values
    return torch.cat([torch.zeros_like(values[:steps]), values[: max(len(values) - steps, 0)]])


def _fire(x: Tensor, threshold: Tensor, slope: float) -> Tensor:
    return Fire.apply(x, threshold, slope)


def _weights(projection: Projection) -> nn.Parameter:
    values = torch.as_tensor(np.array(projection.weights.values, np.float64))
    return nn.Parameter(values, requires_grad=not projection.is_fixed)


def _present(projection: Projection) -> Tensor | None:
    """1 where there is a synapse; None where there is one everywhere."""
    values = torch.as_tensor(np.asarray(projection.weights.values != 0, np.float64))
    return None if bool(values.all()) else values


def _shared(values: NDArray[np.float64]) -> nn.Parameter:
    """One bias per channel where all its neurons have the same; none to train where no neuron has any."""
    if values.ndim > 1 and (values == values[(slice(None), *[slice(0, 1)] * (values.ndim - 1))]).all():
        values = values[(slice(None), *[slice(0, 1)] * (values.ndim - 1))]
    return nn.Parameter(torch.as_tensor(np.array(values, np.float64)), requires_grad=bool(values.any()))


def _stored(projection: Projection, rounds: Rounds, parts: tuple[Tensor, ...]) -> tuple[Synapse, ...]:
    """The hardware's groups; those that hold nothing are left out, but for the first."""
    groups = grids(rounds)
    held = [(g, n) for g, n in zip(groups, parts) if bool(n.any())] or [(groups[0], parts[0])]
    return tuple(projection.weights.synapse(_int32(n), g.exponent, g.bits) for g, n in held)


def _int32(values: Tensor) -> NDArray[np.int32]:
    return values.cpu().numpy().astype(np.int32)


def _register(values: Tensor, shape: tuple[int, ...]) -> int | NDArray[np.int32]:
    """One number where all neurons share it."""
    array = _int32(values).reshape(shape)
    return int(array.flat[0]) if (array == array.flat[0]).all() else array
