"""One population with the float weights that its integers are rounded from, run over time as the chip runs it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from snnfuse.export.lowering.network import Projection
from snnfuse.export.quantization.fitting import Fit
from snnfuse.export.quantization.rounding import FULL_SCALE, Rounds
from snnfuse.hardware.backends.torch_backend.arithmetic import DTYPE, shift
from snnfuse.hardware.ir.fixed_point import (
    ALIGN_BITS,
    BIAS_EXPONENT_RANGE,
    BIAS_MANTISSA_RANGE,
    INT32,
    NEVER,
    THRESHOLD_LIMIT,
    WEIGHT_BITS,
)
from snnfuse.hardware.ir.kinds import NEURONS
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.nodes import Neuron
from snnfuse.hardware.ir.synapses import Dense, Synapse
from snnfuse.nn.gradients import Bounded, StandIn
from snnfuse.nn.groups import grids, integers, reach
from snnfuse.nn.neurons import Learnt, States
from snnfuse.nn.parameters import Incoming, firsts, parameter, present, shared
from snnfuse.nn.products import Synapses, Weighted, operator

FARTHEST = 4.0  # factor by which a threshold scale may be learnt to be larger or smaller: beyond, weights leave their exponents' range


class Trace(NamedTuple):
    """A population over time, each (time, batch, neurons): spikes float32, numbers and states float64; no states unless asked for."""

    spikes: Tensor
    states: dict[str, Tensor]


class FixedPointLayer(nn.Module):
    """A population of a kind that has a form for training (`snnfuse.nn.neurons`), and the synapses into it.

    Parameters, in units of theta, float64: `weights`, one tensor per projection in the structure's own layout; `bias`, added to the
    voltage, one number per neuron or, where a channel shares it, per channel; `current_bias`, added to the current likewise, where
    the population takes it from a constant, of every port where there are several. Ports that started from the same weights share one.
    A weight that is 0 is a missing synapse, and stays 0; a bias that no neuron has, too.
    `stretch`: K over the one that calibration found. Exponents stay, so what is learnt is the step between weights over the threshold,
    as in Esser et al. 2020, where the chip has steps that are powers of two and thresholds that are integers.

    Args:
        name: of the population.
        fit: its registers, its scale K and where its bias goes; weights, biases and thresholds are replaced.
        theta: float thresholds (*shape), in the units of the weights.
        incoming: its projections.
        biases: float (*shape) that are added to the voltage, and to the current, in units of theta per step; to the current of each port
            (ports, *shape) where there are several.
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
        self.neuron: Neuron = fit.lif
        self.scale_found, self.form = fit.scale, NEURONS.of(fit.lif).form("training")
        self.register_buffer("theta", torch.as_tensor(np.asarray(theta, np.float64).reshape(-1)), persistent=False)
        self.stretch = nn.Parameter(torch.ones((), dtype=DTYPE), requires_grad=learns_scale and self.fires)
        self.synapses = [Synapses(operator(i.projection.weights), i.rounds, i.payload) for i in incoming]
        self.firsts = firsts(incoming, self.neuron.ports)
        each = [parameter(i.projection) for i in incoming]
        self.weights = nn.ParameterList(each[first] for first in self.firsts)
        for position, i in enumerate(incoming):
            self.register_buffer(f"present_{position}", present(i.projection), persistent=False)
        self.bias = shared(biases[0])
        self.current_bias = shared(biases[1], int(self.neuron.ports > 1)) if column else None
        self.drives = [self._largest(port) for port in range(self.neuron.ports)]

    def _port(self, incoming: Incoming) -> int:
        return min(incoming.projection.port, self.neuron.ports - 1)

    def _at(self, port: int) -> Rounds:
        """The constant's groups there."""
        ports = self.fitted.bias_ports or (0,) * len(self.column)
        return tuple(rounds for rounds, own in zip(self.column, ports) if own == port)

    def _largest(self, port: int) -> int:
        """What can arrive there, whatever is learnt."""
        synapses = sum(s.drive for i, s in zip(self.incoming, self.synapses) if self._port(i) == port)
        return min(synapses + int(sum(FULL_SCALE * 2.0 ** max(g.exponent, 0) for g in grids(self._at(port)))), INT32)

    @property
    def largest_payload(self) -> int:
        """Largest magnitude that it can send, whatever is learnt."""
        return self.neuron.largest_payload(self.drives)

    @property
    def neurons(self) -> int:
        """How many."""
        return int(np.prod(self.neuron.shape))

    @property
    def is_readout(self) -> bool:
        """Whether it has a threshold and never fires."""
        return isinstance(self.neuron, Lif) and bool(np.min(self.neuron.vth) >= NEVER)

    @property
    def fires(self) -> bool:
        """Whether a threshold decides on its spikes."""
        return "vth" in self.neuron.registers and not self.is_readout

    @property
    def scale(self) -> float:
        """K, the integer threshold for theta = 1; of a maximum the payload that stands for 1."""
        return float(self._scale().detach())

    def _scale(self) -> Tensor:
        """K, (), no farther from the one found than `FARTHEST`, nor than thresholds of 1 or of 17 bits."""
        if not self.fires:
            return self.stretch.new_tensor(self.scale_found)
        found = self.theta * self.scale_found
        low, high = max(1 / FARTHEST, float(1 / found.min())), min(FARTHEST, float((THRESHOLD_LIMIT - 1) / found.max()))
        stretch = self.stretch.to(DTYPE)
        return StandIn.apply(Bounded.apply(stretch, low, high), stretch.detach().clamp(min(low, 1.0), max(high, 1.0))) * self.scale_found

    def _thresholds(self) -> Tensor:
        """Integers, float64 (neurons,)."""
        if not self.fires:
            return torch.full_like(self.theta, NEVER)
        wanted = self.theta * self._scale()
        return StandIn.apply(wanted, torch.round(wanted.detach()))

    def forward(self, sent: Mapping[str, Tensor], states: bool = False, forced: bool = False) -> Trace:
        """All steps.

        Args:
            sent: payloads of the sources, (time, batch, neurons).
            states: whether to keep the states; those of a readout are kept in any case.
            forced: whether recurrent connections bring what `sent` holds for the population itself, in place of its own spikes.
        """
        wanted = [self.wanted(position) for position in range(len(self.incoming))]
        weighted = [s.rounded(w) for s, w in zip(self.synapses, wanted)]
        size = next(iter(sent.values())).shape[:2]
        drive = self._drive(sent, wanted, weighted, size, forced)
        feedback = [(i, g, w) for i, g, w in zip(self.incoming, weighted, wanted) if i.is_recurrent and not forced]
        return self._steps(drive, feedback, states)

    def wanted(self, position: int) -> Tensor:
        """A projection's weights times K."""
        i, present = self.incoming[position], getattr(self, f"present_{position}")
        wanted = self._laid_out(position).to(DTYPE) * (self._scale() * i.unit)
        return Bounded.apply(wanted if present is None else wanted * present, *reach(i.rounds))

    def _laid_out(self, position: int) -> Tensor:
        """A projection's weights in its own layout, where another's parameter holds them."""
        first, own = self.firsts[position], getattr(self, f"present_{position}")
        if first == position:
            return self.weights[position]
        present = getattr(self, f"present_{first}")
        values = self.weights[first] if present is None else self.weights[first][present.bool()]
        shape = self.incoming[position].projection.weights.values.shape
        return values.reshape(shape) if own is None else values.new_zeros(shape).masked_scatter(own.bool(), values)

    def _drive(
        self, sent: Mapping[str, Tensor], wanted: list[Tensor], weighted: list[Weighted], size: torch.Size, forced: bool
    ) -> list[Tensor]:
        """What arrives at each port from other populations and the constant, float64 (time, batch, neurons)."""
        drive = [torch.zeros(*size, self.neurons, dtype=DTYPE, device=self.bias.device) for _ in self.drives]
        for i, w, groups in zip(self.incoming, wanted, weighted):
            if forced or not i.is_recurrent:
                rows = later(sent[i.projection.source], i.late)
                drive[self._port(i)] = drive[self._port(i)] + groups.arriving(rows.flatten(0, 1), w).unflatten(0, tuple(size))
        return [total + self._column(port) if self._at(port) else total for port, total in enumerate(drive)]

    def _column(self, port: int) -> Tensor:
        """What the constant brings to a port on every step, (neurons,)."""
        wanted, rounds = self._column_wanted(port), self._at(port)
        value = sum(shift(n, g.exponent) for n, g in zip(integers(wanted, rounds), grids(rounds)))
        return StandIn.apply(wanted, value)

    def _column_wanted(self, port: int) -> Tensor:
        assert self.current_bias is not None  # there is a column
        ports, shape = self.neuron.ports, self.neuron.shape
        values = self.current_bias.to(DTYPE).expand((ports, *shape) if ports > 1 else shape).reshape(ports, -1)
        return Bounded.apply(values[port] * self._scale(), *reach(self._at(port)))

    def _per_neuron(self, values: Tensor) -> Tensor:
        return values.to(DTYPE).expand(self.neuron.shape).reshape(-1)

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

    def _learnt(self) -> Learnt:
        mantissa, exponent = self.bias_registers()
        return Learnt(self._thresholds() * (1 << ALIGN_BITS), StandIn.apply(self._bias_wanted(), mantissa * 2.0**exponent), self.slope)

    def _steps(self, drive: list[Tensor], feedback: list[tuple[Incoming, Weighted, Tensor]], states: bool) -> Trace:
        step, dtype = self.form(self.neuron, self.drives, self._learnt()), DTYPE if self.neuron.sends_numbers else torch.float32
        rest = torch.zeros(drive[0].shape[1:], dtype=DTYPE, device=drive[0].device)
        state: States = (rest,) * len(self.neuron.states)
        sent: list[Tensor] = []
        kept: list[States] = []
        for t, inputs in enumerate(zip(*(total.unbind(0) for total in drive))):
            arriving = list(inputs)
            for i, groups, wanted in feedback:
                if t >= i.late:
                    arriving[self._port(i)] = arriving[self._port(i)] + groups.arriving(sent[t - i.late], wanted)
            sending, state = step(state, arriving)
            sent.append(sending.to(dtype))
            if states or self.is_readout:
                kept.append(state)
        return Trace(torch.stack(sent), dict(zip(self.neuron.states, map(torch.stack, zip(*kept)))))

    @torch.no_grad()
    def fit(self) -> Fit:
        """The population in the integers that forward uses."""
        synapses = tuple(
            _stored(i.projection, i.rounds, integers(self.wanted(position), i.rounds)) for position, i in enumerate(self.incoming)
        )
        column: tuple[Synapse, ...] = ()
        for port in range(self.neuron.ports):
            parts = integers(self._column_wanted(port), self._at(port)) if self._at(port) else ()
            column += tuple(Dense(_int32(n).reshape(-1, 1), g.exponent, WEIGHT_BITS) for n, g in zip(parts, grids(self._at(port))))
        mantissa, exponent = self.bias_registers()
        learnt = {"vth": self._thresholds(), "bias_mant": mantissa, "bias_exp": exponent}
        registers = {name: _register(x, self.neuron.shape) for name, x in learnt.items() if name in self.neuron.registers}
        neuron: Any = self.neuron  # a frozen dataclass, of any kind
        return replace(
            self.fitted, lif=replace(neuron, **registers), synapses=synapses, bias=column, scale=self.scale, saturated=self._saturated()
        )

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
