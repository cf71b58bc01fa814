"""Calibration data and weights that quantization cannot do well by: each named with its layer and its effect, so that no network is
dead, or deaf, without a word."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import FloatRun
from snnfuse.export.lowering.network import Network
from snnfuse.export.quantization.fitting import Fit
from snnfuse.hardware.ir.recording import Recording

# Plain choices of what is worth a warning.
ALWAYS = 0.98  # share of steps at which a neuron that "always" fires does
MOST = 0.5  # share of a layer's neurons that makes the layer one
OUTLIER = 1000  # times the median
RARE = 10  # samples per spike of a whole layer, beyond which it is as good as silent
LOST = 0.9  # share of a layer's spikes


def suspects(
    network: Network, x: Mapping[str, NDArray], inputs: Mapping[str, object], run: FloatRun, fits: Mapping[str, Fit], recording: Recording
) -> tuple[str, ...]:
    """What to warn of, a sentence each: the inputs first, then every population.

    Args:
        network: float network in chip form.
        x: calibration data (time, batch, *shape) by name.
        inputs: as declared.
        run, recording: float and integer runs on it.
        fits: of every population.
    """
    found = [s for name, array in x.items() for s in _of_input(name, array, inputs[name].sends_numbers)]
    for name in (n for n in network.order if not network.populations[n].counts):
        found += [*_of_weights(network, name, fits[name]), *_of_spikes(network, name, run, recording)]
    return tuple(found)


def _of_input(name: str, x: NDArray, graded: bool) -> Iterator[str]:
    advice = "calibrate with data like what the network was trained on, encoded and scaled in the same way"
    if not graded and x.mean() > ALWAYS:
        yield f"input {name!r} spikes in {x.mean():.0%} of all steps, so that nothing in it changes; {advice}"
    if len(x) == 1:
        yield f"input {name!r} has one time step, in which no state can build up; {advice}: (time, batch, ...)"
    magnitudes = np.abs(x[x != 0])
    if graded and magnitudes.max() > OUTLIER * np.median(magnitudes):
        largest, median = magnitudes.max(), np.median(magnitudes)
        yield f"input {name!r} holds {largest:.3g}, {largest / median:.3g} times the median of its values, which keep few digits; {advice}"


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


def _of_spikes(network: Network, name: str, run: FloatRun, recording: Recording) -> Iterator[str]:
    if network.populations[name].is_readout or network.populations[name].sends_numbers:
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
            f"{name!r} keeps {found} of its {spikes} spikes: it is all but dead after rounding; allow more bits (--weight-bits) or "
            "groups (--max-groups), or rescale its weights"
        )
