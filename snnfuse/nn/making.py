"""`quantization_aware`: from a trained float network to one in the chip's arithmetic, ready to be fine-tuned."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import nir
import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor, nn

from snnfuse.export import trace_model
from snnfuse.export.lowering.network import Network, Population
from snnfuse.export.quantization.channel_scaling import in_units
from snnfuse.export.quantization.fitting import Fit, Input, effective
from snnfuse.export.quantization.layer_names import by_population
from snnfuse.export.quantization.population_fits import calibrate, fit_all
from snnfuse.export.quantization.quantize_network import prepare
from snnfuse.export.quantization.rounding import Rounds
from snnfuse.export.quantization.settings import QuantizationSettings, WeightBits
from snnfuse.export.tracing.capture.arguments import input_names
from snnfuse.export.tracing.forms import find_form
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS
from snnfuse.hardware.ir.kinds import NEURONS
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.ir.nodes import Decoder
from snnfuse.networks.stages import Staged
from snnfuse.nn.groups import column_rounds
from snnfuse.nn.layer import FixedPointLayer
from snnfuse.nn.module import FixedPointNetwork
from snnfuse.nn.parameters import Incoming

SLOPE = 5.0
# `python -m benchmarks.qat --only scales`: on the Braille graph scales that are trained bring 11.0 points at 2 bits and 11.7 at 1, and at 4
# and 3 bits nothing (0.1 and 0.6 less). From there on they are trained.
FEW_BITS = 2
IN_STAGES = (
    "runs in stages, with a host between them, and training in integers takes one program: the gradient would have to pass through "
    "what the host counts and normalises into integers of another run, whose scales are chosen for themselves; give the module of one "
    "stage, or train a network that normalises on every step"
)


def quantization_aware(
    source: nn.Module | nir.NIRGraph,
    calibration: ArrayLike | Tensor | Mapping[str, ArrayLike | Tensor],
    *,
    sample: Any = None,
    weight_bits: WeightBits = WEIGHT_BITS,
    input_bits: int = 12,
    max_groups: int = 1,
    reset: Reset | None = None,
    dt: float | None = None,
    decoder: Decoder | None = None,
    num_classes: int | None = None,
    output: str | None = None,
    slope: float = SLOPE,
    learn_scales: bool | None = None,
) -> FixedPointNetwork:
    """A module whose forward is the fixed-point Program of a network, with straight-through gradients to its float weights.

    Args:
        source: a snnTorch model, which is traced, or a NIR graph. BatchNorm is folded.
        calibration: float (time, batch, *shape), or {input name: such an array}, like the data the network will see. It sets scales and
            exponents, which training keeps unless told otherwise, and declares inputs binary or graded.
        sample: of a model whose forward is one time step, ONE as `snnfuse.export.to_nir` takes it; by default how forward takes time is
            found out with the shapes of the calibration data.
        weight_bits: 1..8, or {population: such a number, or a pair (excitatory, inhibitory)}, as for `snnfuse.export.quantize`.
        input_bits: 2..24, payload of a graded input with its sign.
        max_groups: as there; 1 by default, for training repairs what one group loses.
        reset: makes every spiking population reset by this rule, which training then adapts it to; by default each keeps its own.
        dt: seconds per step of a graph that does not say.
        decoder, num_classes, output: how outputs are read, as for `quantize`.
        slope: steepness of the surrogate gradient.
        learn_scales: whether each layer's threshold scale is trained with its weights; by default of layers of 2 bits or 1. Exponents stay
            in any case.

    Returns:
        FixedPointNetwork: train it like any module (whole sequences, (time, batch, *shape)); `program()` gives its integers.

    Raises:
        InputError, UnsupportedError: as `snnfuse.export.to_nir` and `quantize`; a population that is not there.
    """
    arrays = _arrays(calibration)
    settings = QuantizationSettings(dt, reset, weight_bits, input_bits, max_groups, decoder, num_classes, output)
    graph = source if isinstance(source, nir.NIRGraph) else _traced(source, sample, arrays)
    network, x, declared = prepare(graph, arrays, settings, relays=False)
    settings = by_population(graph, network, settings)
    refuse_untrained(network)
    fits = fit_all(calibrate(network, x, declared), settings, feedback=False)  # forward rounds to the nearest
    layers = dict[str, FixedPointLayer]()
    for name in network.order:
        fit, column = fits[name], column_rounds(fits[name].bias)
        learns = max(fit.bits) <= FEW_BITS if learn_scales is None else learn_scales
        layers[name] = make_layer(network, name, fit, declared, slope, column, learns, layers)
    return FixedPointNetwork(network, declared, layers, graph, reset, settings.reading)


def refuse_untrained(network: Network) -> None:
    """UnsupportedError, by name, where a population's kind has no form for training."""
    found = [f"{name} ({_called(p)})" for name, p in network.populations.items() if not is_trained(p)]
    if found:
        raise UnsupportedError(
            "training in integers computes LIF and alpha neurons and maxima, and this network multiplies or sums counts, or has neurons of "
            f"another kind: {', '.join(found[:3])}; train it in float and quantize it"
        )


def is_trained(population: Population) -> bool:
    """Whether its kind has a form for training."""
    if population.own is not None:
        return NEURONS.named(population.own.kind.__name__).training is not None
    return population.kind in ("neuron", "maximum")


def _called(population: Population) -> str:
    return population.kind if population.own is None else population.own.kind.__name__


def make_layer(
    network: Network,
    name: str,
    fit: Fit,
    declared: Mapping[str, Input],
    slope: float,
    column: Rounds,
    learns_scale: bool = False,
    made: Mapping[str, FixedPointLayer] = MappingProxyType({}),
) -> FixedPointLayer:
    """A population's layer, its float weights those of the network, in the fit's units; made: the layers of what feeds it, where they send
    numbers."""
    network = in_units(network, name, fit.units)
    population = network.populations[name]
    incoming = []
    for projection, rounds in zip(network.into(name), fit.rounds):
        payload, unit = _payload(network, projection.source, declared, made)
        incoming.append(Incoming(effective(network, projection, {}), rounds, payload, unit, network.late(projection)))
    current = population.gain * population.current_gain * population.bias
    into_voltage = population.kind == "neuron" and not fit.bias
    biases = (population.voltage_bias + current, np.zeros_like(current)) if into_voltage else (population.voltage_bias, current)
    return FixedPointLayer(name, fit, population.theta, tuple(incoming), biases, column, slope, learns_scale)


def _payload(network: Network, source: str, declared: Mapping[str, Input], made: Mapping[str, FixedPointLayer]) -> tuple[int, float]:
    """The largest that a source sends, and what a payload of 1 stands for."""
    if source in declared:
        return declared[source].limit, declared[source].scale
    return (made[source].largest_payload, 1 / made[source].scale) if network.populations[source].sends_numbers else (1, 1.0)


def _arrays(x: Any) -> Any:
    """Tensors as arrays."""
    if isinstance(x, Mapping):
        return {name: _arrays(value) for name, value in x.items()}
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)


def _traced(model: nn.Module, sample: Any, arrays: Any) -> nir.NIRGraph:
    if isinstance(model, Staged):
        raise UnsupportedError(f"{type(model).__name__} {IN_STAGES}")
    was_training = model.training
    try:
        return _graph(model.eval(), arrays) if sample is None else trace_model(model, sample)[0]
    finally:
        model.train(was_training)


def _graph(model: nn.Module, arrays: Any) -> nir.NIRGraph:
    """Of a forward that takes one step per call, or all steps of the calibration data."""
    given = list(arrays.values()) if isinstance(arrays, Mapping) else [arrays]
    names = input_names(model) or (arrays if isinstance(arrays, Mapping) else ("input",))
    return find_form(model, dict(zip(names, (x.shape[2:] for x in given))), len(given[0]))[0].graph
