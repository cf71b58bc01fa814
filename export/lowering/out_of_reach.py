"""Thresholds that no input can reach, as of neurons that exist to be read: snnTorch's way to a membrane that never resets is a threshold of
20,000. Such a population never fires, so that its weights need not share their digits with that threshold.

The bound: with every source at its largest, |i| <= current_gain (sum |w| x + |bias|) / (1 - alpha), |v| <= (|gain| |i| + |voltage bias|) /
(1 - beta). Without a spike no reset takes part.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from snnfuse.export.lowering.network import Array, Network, Population
from snnfuse.export.lowering.weights import ConvWeights, Weights

CLOSE = 1 - 1e-6  # of the threshold, below which no rounding of the bound matters


def with_silent_neurons(network: Network, largest: Mapping[str, float]) -> Network:
    """The same network, every spike and voltage of it, with infinite thresholds where none can be reached by any of a population's neurons.

    largest: by input, the largest magnitude that it brings.
    """
    silent = {name: _never_firing(p) for name, p in network.populations.items() if _is_out_of_reach(network, name, p, largest)}
    return replace(network, populations={**network.populations, **silent}) if silent else network


def _never_firing(p: Population) -> Population:
    return replace(p, theta=np.full(p.shape, np.inf), reset="zero", taken=None)


def _is_out_of_reach(network: Network, name: str, p: Population, largest: Mapping[str, float]) -> bool:
    if p.kind != "neuron" or p.is_readout or p.start is not None or p.reset_to is not None or (p.beta >= 1).any():
        return False
    if p.alpha is not None and (p.alpha >= 1).any():
        return False
    drive = np.abs(p.bias)
    for projection in network.into(name):
        peak = largest.get(projection.source) or _sends(network, projection.source)
        if projection.source == name:
            continue  # it never fires
        if not np.isfinite(peak):
            return False
        drive = drive + peak * _row_sums(projection.weights).reshape(p.shape)
    current = np.abs(p.current_gain) * drive / (1 - (0.0 if p.alpha is None else p.alpha))
    voltage = (np.abs(p.gain) * current + np.abs(p.voltage_bias)) / (1 - p.beta)
    return bool((voltage < CLOSE * p.theta).all())


def _sends(network: Network, source: str) -> float:
    """The largest that a population sends; of sums and maxima, which have no bound here, infinity."""
    p = network.populations[source]
    return float(np.prod(p.bounds)) if p.kind == "product" else float("inf") if p.sends_numbers else 1.0


def _row_sums(weights: Weights) -> Array:
    """Magnitudes of each target neuron's weights, added up, (targets,); of a convolution as if all its taps met an input."""
    if isinstance(weights, ConvWeights):
        return np.repeat(np.abs(weights.kernel).sum(axis=(1, 2, 3)), int(np.prod(weights.output_shape[1:])))
    return np.asarray(abs(weights.matrix).sum(axis=1)).ravel()
