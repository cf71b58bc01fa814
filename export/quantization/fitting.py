"""A population in integers at one threshold scale K, and how it is wired into a Program.

K is the integer threshold that stands for theta = 1: weights, biases and thresholds are multiplied by it and rounded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.network import Array, Network, Population, Projection
from snnfuse.export.lowering.weights import DenseWeights
from snnfuse.export.quantization.rounding import Form, Rounded, Rounds, relative_error, round_bias, round_weights, voltage_units
from snnfuse.hardware.ir.fixed_point import CURRENT_DECAY_OFFSET, DECAY_BITS, NEVER, WEIGHT_BITS
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.maximum import Maximum
from snnfuse.hardware.ir.nodes import Connection, Input, Neuron
from snnfuse.hardware.ir.synapses import Synapse

EQUAL = 1e-5  # relative
BIAS_FORM = Form((WEIGHT_BITS, WEIGHT_BITS), depth=2)  # a column of biases is small, so it always gets its rounding residue


@dataclass(frozen=True, eq=False)
class Fit:
    """A population in integers.

    Attributes:
        lif: neurons; products, relays (`exact_fit`) and maxima too, and kinds of their own.
        synapses: by projection, in the order of `Network.into`, each its groups.
        rounds: by projection, the grids that its groups lie on; `rounding.hold` turns float weights into such groups.
        bias: groups from the constant, (neurons, 1).
        bias_ports: where each of them arrives; () where all do at port 0.
        held: by projection, float weights in the place of the network's that the groups are the nearest of, per unit of payload and in the
            neurons' units; None for the network's own.
        is_trained: whether weights and biases were trained in integers.
        forms: by projection, how its weights are divided among groups.
        scale: K, the integer threshold for theta = 1; of a maximum the payload that stands for 1.
        rounding: norm of what rounding changed in all weights, over the norm of the weights.
        faithful: whether nothing was rounded: weights, biases, decays and thresholds are the float ones times K.
        units: by which each neuron's weights, biases and threshold were multiplied before K, of the population's shape (`levels`);
            None for none.
        saturated: weights beyond the range of their group.
        mismatch: differing spikes over float spikes on calibration data; of a maximum, those of the neurons that it feeds.
        drift: differences of spike counts in windows of a few steps, over float spikes: unlike the mismatch, it tells a late spike from
            a lost one, and a silent population from one that is a little off; on calibration data.
        deviation: rms error of the voltage over its rms, on calibration data; only where no spikes can tell.
    """

    lif: Neuron
    synapses: tuple[tuple[Synapse, ...], ...]
    rounds: tuple[Rounds, ...]
    bias: tuple[Synapse, ...]
    forms: tuple[Form, ...]
    scale: float
    rounding: float
    faithful: bool
    units: Array | None = None
    saturated: int = 0
    mismatch: float = np.inf
    drift: float = 0.0
    deviation: float = 0.0
    bias_ports: tuple[int, ...] = ()
    held: tuple[Array, ...] | None = None
    is_trained: bool = False

    @property
    def bits(self) -> tuple[int, int]:
        """Of excitatory and inhibitory weights."""
        return self.forms[0].bits if self.forms else (WEIGHT_BITS, WEIGHT_BITS)

    @property
    def vanished(self) -> tuple[int, ...]:
        """Projections, by position, of which nothing is left but zeros."""
        return tuple(i for i, groups in enumerate(self.synapses) if not any(s.values.any() for s in groups))


def effective(network: Network, projection: Projection, inputs: Mapping[str, Input]) -> Projection:
    """A projection in voltage per unit of what its source sends: the neurons' gains and a graded input's scale are in it."""
    population = network.populations[projection.target]
    rows = (population.gain * population.current_gain).ravel()
    source = inputs.get(projection.source)
    if source is not None and source.sends_numbers:
        rows = rows * source.scale
    return replace(projection, weights=projection.weights.scaled(rows))


def sends_numbers(network: Network, source: str, inputs: Mapping[str, Input]) -> bool:
    """Whether an input or population sends graded spikes."""
    population = network.populations.get(source)
    return inputs[source].sends_numbers if population is None else population.sends_numbers


def build(
    population: Population,
    projections: list[Projection],
    graded: list[bool],
    scale: float,
    forms: list[Form],
    rounded: Sequence[Rounded | None] | None = None,
) -> Fit | None:
    """A population at one scale; None where a range does not allow it.

    Args:
        population: float neurons.
        projections: into it, as `effective` gives them.
        graded: for each, whether its source sends graded spikes.
        scale: K.
        forms: for each, how its weights are divided among synapse groups.
        rounded: for each, its groups; None: its weights to the nearest.
    """
    assert population.reset != "none"  # legalize gives such neurons back what a reset takes
    if rounded is None:
        rounded = [round_weights(p.weights, scale, form, g) for p, form, g in zip(projections, forms, graded)]
    into_voltage, into_current = _split_bias(population, scale)
    by_port = into_current.reshape(population.ports, -1, 1)
    columns = [round_weights(DenseWeights(column), scale, BIAS_FORM) for column in by_port]
    neurons = _neurons(population, scale, into_voltage)
    held = [r for r in rounded if r is not None]
    biases = [c for c in columns if c is not None]
    if len(held) < len(rounded) or len(biases) < len(columns) or neurons is None:
        return None
    rounding = relative_error([*held, *biases])
    biased = [(port, s) for port, column in enumerate(biases) if by_port[port].any() for s in column.synapses]
    return Fit(
        lif=neurons,
        synapses=tuple(r.synapses for r in held),
        rounds=tuple(r.rounds for r in held),
        bias=tuple(synapse for _, synapse in biased),
        bias_ports=tuple(port for port, _ in biased),
        forms=tuple(forms),
        scale=scale,
        rounding=rounding,
        faithful=rounding < EQUAL and not population.own and _keeps_registers(population, neurons, scale, into_voltage),
        saturated=sum(r.saturated for r in held),
    )


def _neurons(population: Population, scale: float, into_voltage: Array) -> Neuron | None:
    """The registers at one scale; None where one does not hold its number."""
    if population.kind == "maximum":
        return Maximum(population.shape, population.ports, 1 / scale)
    return population.own.quantized(population.shape, scale) if population.own else _lif(population, scale, into_voltage)


def _lif(population: Population, scale: float, into_voltage: Array) -> Lif | None:
    """The registers at one scale; None where one does not hold its number. A threshold rounded to 0 would fire at anything."""
    vth = np.full(population.shape, NEVER) if population.is_readout else np.rint(population.theta * scale)
    bias = round_bias(into_voltage)
    if bias is None or (vth < 1).any() or (vth > NEVER).any():
        return None
    return Lif(
        shape=population.shape,
        du=_scalar(_current_decay(population)),
        dv=_scalar(_decay(1.0 - population.beta, 0)),
        vth=_scalar(vth.astype(np.int32)),
        bias_mant=_scalar(bias[0]),
        bias_exp=_scalar(bias[1]),
        reset=population.reset,
    )


def _keeps_registers(population: Population, lif: Neuron, scale: float, into_voltage: Array) -> bool:
    """Whether biases, decays and thresholds were not rounded, of neurons that have some."""
    if not isinstance(lif, Lif):
        return True
    same_bias = _same(lif.bias_mant * 2.0**lif.bias_exp, into_voltage)
    return same_bias and _keeps_decays(population, lif) and (population.is_readout or _same(lif.vth, population.theta * scale))


def _same(integers: NDArray | float, wanted: Array) -> bool:
    """Whether numbers were not rounded; thresholds in a graph may carry a margin of 1e-6."""
    return bool(np.allclose(integers, wanted, rtol=EQUAL, atol=0))


def _keeps_decays(population: Population, lif: Lif) -> bool:
    """Whether states lose as much per step; of a neuron without memory the register keeps 1/4096, which is not nothing."""
    current, voltage = _left(lif.du, lif.dv)
    alpha = 0.0 if population.alpha is None else population.alpha
    return bool(np.allclose(voltage, population.beta, rtol=0, atol=1e-9) and np.allclose(current, alpha, rtol=0, atol=1e-9))


def _split_bias(population: Population, scale: float) -> tuple[Array, Array]:
    """What is added to the voltage (in its least significant bits) and to the current (in units of theta).

    Neurons that forget their current at once may take their bias either way: into the voltage, unless it exceeds the mantissa there.
    """
    current = population.gain * population.current_gain * population.bias
    if population.kind == "neuron" and population.alpha is None:
        voltage = voltage_units(population.voltage_bias + current, scale)
        if round_bias(voltage) is not None:
            return voltage, np.zeros_like(current)
    return voltage_units(population.voltage_bias, scale), current


def rounded_decays(population: Population) -> tuple[Array, Array]:
    """What the registers leave of current and voltage in a step, of the population's shape: alpha and beta, rounded."""
    return _left(_current_decay(population), _decay(1.0 - population.beta, 0))


def _left(du: NDArray | int, dv: NDArray | int) -> tuple[Array, Array]:
    return 1.0 - (np.asarray(du) + CURRENT_DECAY_OFFSET) / (1 << DECAY_BITS), 1.0 - np.asarray(dv) / (1 << DECAY_BITS)


def _current_decay(population: Population) -> NDArray[np.int32]:
    if population.alpha is None:
        return np.full(population.shape, (1 << DECAY_BITS) - CURRENT_DECAY_OFFSET, np.int32)
    return _decay(1.0 - population.alpha, CURRENT_DECAY_OFFSET)


def _decay(lost: Array, offset: int) -> NDArray[np.int32]:
    """A fraction lost per step as a decay register that adds `offset`; 4096 in the voltage is out of reach and becomes 4095."""
    return np.clip(np.rint(lost * (1 << DECAY_BITS)) - offset, -offset, (1 << DECAY_BITS) - 1).astype(np.int32)


def _scalar(values: NDArray[np.int32]) -> int | NDArray[np.int32]:
    """One number where all neurons share it."""
    first = values.ravel()[0]
    return int(first) if (values == first).all() else values.astype(np.int32)


def constant_name(network: Network) -> str:
    """A name that no node of the network has, for the node that spikes on every step."""
    name = "constant"
    while name in network.populations or name in network.inputs:
        name += "_"
    return name


def connections(network: Network, name: str, fit: Fit, timed: bool = True) -> Iterator[Connection]:
    """The synapse groups into a population; `timed` adds the delays that match its paths."""
    for projection, groups in zip(network.into(name), fit.synapses):
        delay = network.delay(projection) if timed else 0
        written = fit.lif.written_port
        for synapse in groups:
            port = min(projection.port, fit.lif.ports - 1) if written is None else written  # an AND adds both factors
            yield Connection(projection.source, name, synapse, delay, port, projection.lag)
    for synapse, port in zip(fit.bias, fit.bias_ports or (0,) * len(fit.bias)):
        yield Connection(constant_name(network), name, synapse, port=port)
