"""NIR graph to Program: calibrated rounding to the integers that Loihi 2 holds."""

from collections.abc import Mapping

import nir
import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfuse.export.agreement import measure_agreement
from snnfuse.export.calibrate import CONSTANT, Fit, Input, connections, fit_population
from snnfuse.export.float_run import simulate
from snnfuse.export.lowering import lower
from snnfuse.export.network import Network
from snnfuse.export.resets import with_reset
from snnfuse.hardware.encoding import as_inputs
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.fixed_point import WEIGHT_BITS, check_range
from snnfuse.hardware.ledger import LedgerEntry
from snnfuse.hardware.lif import Reset
from snnfuse.hardware.program import Constant, Decoder, GradedInput, Output, Program, SpikeInput
from snnfuse.hardware.ranges import check_no_wrap

SEARCH_SAMPLES = 96  # calibration samples used to compare candidates; the result is measured on all of them


def quantize(
    graph: nir.NIRGraph,
    calibration: ArrayLike | Mapping[str, ArrayLike],
    *,
    dt: float | None = None,
    reset: Reset | None = None,
    weight_bits: int = WEIGHT_BITS,
    input_bits: int = 12,
    max_groups: int = 2,
    decoder: Decoder | None = None,
) -> Program:
    """Turn a float graph into integers, choosing scales by the spikes they keep on calibration data.

    Args:
        graph: NIR graph of standard primitives.
        calibration: float (time, batch, *shape), or {input name: such an array}, like the data the network will see. An input that holds
            only 0 and 1 is declared binary; any other is declared graded, with `input_bits` bits and its scale from the largest magnitude.
        dt: seconds per step; by default the graph's own, or 1e-4.
        reset: makes every spiking population reset by this rule, with the measured effect in the ledger; by default each keeps its own.
        weight_bits: 1..8, for every synapse group.
        input_bits: 2..24, payload of a graded input with its sign.
        max_groups: synapse groups per projection, 1 or more; a further one is used only where one loses too many spikes.
        decoder: how outputs are read; by default spike count, and the membrane's sum for a readout.

    Returns:
        Program whose ledger lists every change of meaning with its effect on the calibration data.

    Raises:
        InputError: calibration data is empty, not finite or of another shape; a setting is out of range.
        UnsupportedError: the graph holds something that cannot be kept, or a current wraps on the calibration data.
    """
    check_range("weight_bits", weight_bits, 1, WEIGHT_BITS)
    if max_groups < 1:
        raise InputError(f"max_groups must be 1 or more, not {max_groups}")
    network = lower(graph, dt)
    x = as_inputs({name: SpikeInput(shape) for name, shape in network.inputs.items()}, calibration)
    if reset is not None:
        network = with_reset(network, reset, x)
    inputs = {name: declare_input(array, network.inputs[name], input_bits) for name, array in x.items()}
    fits = _fit_all(network, _some_samples(x), inputs, weight_bits, max_groups)
    program = assemble(network, fits, inputs, decoder)
    return _measured(network, program, x, fits, weight_bits)


def declare_input(x: NDArray, shape: tuple[int, ...], bits: int) -> Input:
    """Binary if the data is; otherwise graded, with the scale that puts the largest magnitude at the payload's limit."""
    if ((x == 0) | (x == 1)).all():
        return SpikeInput(shape)
    return GradedInput(shape, bits, float(np.abs(x).max()) / (2 ** (bits - 1) - 1))


def _some_samples(x: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Evenly spaced samples, so that sorted data is not cut to its first classes."""
    batch = next(iter(x.values())).shape[1]
    chosen = np.unique(np.linspace(0, batch - 1, min(batch, SEARCH_SAMPLES)).astype(int))
    return {name: array[:, chosen] for name, array in x.items()}


def _fit_all(network: Network, x: Mapping[str, NDArray], inputs: Mapping[str, Input], bits: int, max_groups: int) -> dict[str, Fit]:
    run = simulate(network, x)
    events = Program(dict(inputs), (), {}).encode(x)
    sent = {**events, **run.spikes}
    return {name: fit_population(network, name, run, sent, inputs, bits, max_groups) for name in network.order}


def assemble(network: Network, fits: Mapping[str, Fit], inputs: Mapping[str, Input], decoder: Decoder | None = None) -> Program:
    """The whole program, its paths matched in time."""
    nodes = {**inputs, **({CONSTANT: Constant()} if any(fit.bias for fit in fits.values()) else {})}
    nodes |= {name: fit.lif for name, fit in fits.items()}
    links = tuple(c for name, fit in fits.items() for c in connections(network, name, fit))
    outputs = {name: Output(node, decoder or default_decoder(network, node)) for name, node in network.outputs.items()}
    return Program(nodes, links, outputs, network.dt, network.ledger)


def default_decoder(network: Network, node: str) -> Decoder:
    """Spike count, or the membrane's sum where the population cannot spike."""
    return "membrane_sum" if network.populations[node].is_readout else "spike_count"


def _measured(network: Network, program: Program, x: Mapping[str, NDArray], fits: Mapping[str, Fit], bits: int) -> Program:
    """The program with what rounding changed, measured from end to end, in its ledger."""
    check_no_wrap(program, program.encode(x))
    entries = [_input_entry(name, node, x[name]) for name, node in program.inputs.items() if isinstance(node, GradedInput)]
    for layer in measure_agreement(network, program, x):
        if layer.mismatches:
            fit = fits[layer.node]
            change = f"weights in {bits} bits, {describe_groups(fit)}, threshold scale {fit.scale:.6g}"
            entries.append(LedgerEntry(layer.node, change, "the chip holds integers", layer.effect))
    return program.with_ledger(*entries)


def describe_groups(fit: Fit) -> str:
    """How many synapse groups the projections of a population took, in words."""
    most = max((len(groups) for groups in fit.synapses), default=0)
    return "one group per projection" if most == 1 else f"up to {most} groups per projection"


def _input_entry(name: str, node: GradedInput, x: NDArray) -> LedgerEntry:
    error = float(np.abs(np.rint(x / node.scale) * node.scale - x).max())
    return LedgerEntry(
        name,
        f"analog values sent as {node.bits}-bit graded spikes of {node.scale:.4g} each",
        "the chip takes integers",
        f"largest rounding error {error:.4g} on {x.shape[1]} samples",
    )


