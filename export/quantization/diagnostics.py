"""Calibration data and weights that quantization cannot do well by: each named with its layer and its effect, so that no network is
dead, or deaf, without a word."""

from collections.abc import Collection, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.differences import spikes_differ
from snnfuse.export.lowering.float_simulator import FloatRun
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.nir_to_network import MISSING_DT
from snnfuse.export.quantization.data_warnings import doubtful_samples
from snnfuse.export.quantization.fitting import Fit
from snnfuse.hardware.ir.nodes import Input
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.ledger import Ledger

# Plain choices of what is worth a warning.
ALWAYS = 0.98  # share of steps at which a neuron that "always" fires does
MOST = 0.5  # share of a layer's neurons that makes the layer one
OUTLIER = 1000  # a weight, times the median
RARE = 10  # samples per spike of a whole layer, beyond which it is as good as silent
LOST = 0.9  # share of a layer's spikes
WRONG = 0.5  # share of a layer's spikes, of those of either network, that makes it one that is mostly wrong
FEWEST, FEW = 4, 16  # calibration samples: always too few; too few for a layer of more than a `SEEN`th as many neurons as steps are seen
SEEN = 4  # steps of calibration data per neuron of the widest layer, below which few samples are too few
LEVELS, USUAL, COARSE = 8, 0.99, 0.05  # levels that this share of values keeps to, and the rounding from which on it matters


def suspects(
    network: Network,
    x: Mapping[str, NDArray],
    inputs: Mapping[str, Input],
    run: FloatRun,
    fits: Mapping[str, Fit],
    recording: Recording,
    read: Collection[str] = (),
) -> tuple[str, ...]:
    """What to warn of, a sentence each: the inputs first, then every population.

    Args:
        network: float network in chip form.
        x: calibration data (time, batch, *shape) by name.
        inputs: as declared.
        run, recording: float and integer runs on it.
        fits: of every population.
        read: populations whose membrane is read, which need not fire.
    """
    found = [*_of_changes(network.ledger), *_of_number(network, x), *doubtful_samples(x, inputs)]
    found += [s for name, array in x.items() for s in _of_levels(name, array, inputs[name])]
    silent = [name for name in network.order if _fires(network, name) and not run.spikes[name].any()]
    if silent and MISSING_DT in network.ledger:
        never = f"{', '.join(map(repr, silent[:3]))} never spike{'s' * (len(silent) == 1)}, and the graph does not say its time step"
        found.append(f"{never}: it is read as {network.dt:g} s; give the one that it was trained with, as dt=0.001")
    for name in (n for n in network.order if not network.populations[n].counts):
        found += [*_of_weights(network, name, fits[name]), *(() if name in read else _of_spikes(network, name, run, recording))]
    return tuple(found)


def _of_changes(ledger: Ledger) -> Iterator[str]:
    """Changes of meaning that nobody measured, but for how a file is read."""
    unmeasured = [entry for entry in ledger if not entry.effect and entry.node != "graph"]
    if unmeasured:
        first, more = unmeasured[0], f" (and {len(unmeasured) - 1} more)" if len(unmeasured) > 1 else ""
        yield (
            f"{first.node!r}: {first.change}{more}: the effect was not measured, and it can be large; measure it by compiling the model "
            "itself on samples (snnfuse export, or snnfuse.compile with source_of(model))"
        )


def _of_number(network: Network, x: Mapping[str, NDArray]) -> Iterator[str]:
    time, samples = next(iter(x.values())).shape[:2]
    widest = max((p.theta.size for p in network.populations.values()), default=0)
    if samples < FEWEST or (samples < FEW and samples * time < SEEN * widest):
        yield (
            f"{samples} calibration samples of {time} steps are few for {widest} neurons in a layer: scales and ranges that they do not "
            "reach are a guess; calibrate on 64 or more"
        )


def _of_levels(name: str, x: NDArray, node: Input) -> Iterator[str]:
    if not node.sends_numbers or not x.any():
        return
    units = np.clip(np.rint(x / node.scale), *node.payloads)
    usual = float(np.quantile(np.abs(units[units != 0]), USUAL)) if units.any() else 0.0
    error = float(np.sqrt(((units * node.scale - x) ** 2).mean() / (x.astype(np.float64) ** 2).mean()))
    if usual <= LEVELS and error > COARSE:
        yield (
            f"input {name!r}: nearly all of its values use {usual:.0f} of {node.limit} levels, which rounds {error:.0%} of them; cut its "
            "outliers, or send it with more bits (input_bits)"
        )


def _of_weights(network: Network, name: str, fit: Fit) -> Iterator[str]:
    for projection, groups in zip(network.into(name), fit.synapses):
        magnitudes = np.abs(projection.weights.values[projection.weights.values != 0])
        if not magnitudes.size or magnitudes.max() <= OUTLIER * np.median(magnitudes):
            continue
        held = sum(np.count_nonzero(s.values) for s in groups) / (magnitudes.size * max(1, len(groups)))
        saturate = f"{fit.saturated} weights saturate" if fit.saturated else f"{max(0.0, 1 - held):.0%} of the weights become 0 beside it"
        yield (
            f"{name!r}: a weight from {projection.source} is {magnitudes.max() / np.median(magnitudes):.3g} times the median: {saturate}; "
            "clip it before the export, or train with weight decay"
        )


def _fires(network: Network, name: str) -> bool:
    neuron = network.populations[name]
    return not (neuron.counts or neuron.is_readout or neuron.sends_numbers)


def _of_spikes(network: Network, name: str, run: FloatRun, recording: Recording) -> Iterator[str]:
    if not _fires(network, name):
        return
    expected, spikes = run.spikes[name], int(np.count_nonzero(run.spikes[name]))
    found = int(np.count_nonzero(recording.spikes[name]))
    if spikes * RARE < expected.shape[1]:
        often = f"spikes only {spikes} times" if spikes else "never spikes"
        yield (
            f"{name!r} {often} on the calibration data, so that no spike can tell its scales apart, and nothing behind it is "
            "calibrated on spikes of its; is the data of the right rate and range, and long enough?"
        )
        return
    busy = float((expected.mean((0, 1)) > ALWAYS).mean()) if len(expected) > 1 else 0.0
    if busy > MOST:
        yield (
            f"{name!r}: {busy:.0%} of its neurons spike at every step of the calibration data, so that they tell nothing; is the data "
            "of the right rate and range?"
        )
    if found < (1 - LOST) * spikes:
        yield (
            f"{name!r} keeps {found} of its {spikes} spikes: it is all but dead after rounding; allow more bits (weight_bits) or "
            "groups (max_groups), or rescale its weights"
        )
        return
    differ = spikes_differ(expected, recording.spikes[name])
    if differ.share > WRONG:
        yield (
            f"{name!r}: {differ.share:.0%} of its spikes are others than the float network's, on the calibration data; see by which "
            "layer's own rounding (snnfuse diagnose), and allow that one more bits (weight_bits) or groups (max_groups)"
        )
