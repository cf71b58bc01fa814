"""What quantization came to, layer by layer: a row each, for reports and tables."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from snnfuse.export.quantization.agreement import Agreement, LayerAgreement
from snnfuse.export.quantization.fitting import Fit
from snnfuse.export.quantization.layer_effects import LayerEffect
from snnfuse.export.quantization.rounding import FULL_SCALE
from snnfuse.hardware.ir.fixed_point import STATE_LIMIT
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.overflow.observed import Peaks


@dataclass(frozen=True)
class LayerReport:
    """One population; every share is in [0, 1], measured on the calibration data.

    Attributes:
        node: its name.
        bits: of excitatory and inhibitory weights.
        groups: synapse groups into it, a constant's included.
        by_sign: whether signs have groups of their own.
        threshold_per_neuron: whether neurons were given units of their own; Lava runs it, a chip is assumed to.
        exponents: of these groups.
        weight_range: share of a group's range that its weights use, of the group that uses most.
        saturated: weights beyond the range of their group.
        scale: K, the integer threshold for theta = 1.
        rounding: norm of what rounding changed in the weights, over the norm of the weights.
        float_spikes, mismatches: spikes of the float network, and neurons and steps at which only one of both has one; None for a readout.
        agreement: 1 - mismatches / float_spikes, not below 0; None for a readout, or where no spike can tell.
        deviation: rms error of a readout's voltage, or of what a maximum sends, over its rms; None where it spikes.
        current_used, voltage_used: largest magnitude over what 24 bits hold; above 1 the current would wrap. Of what sends numbers the
            first is that of these, over what a message holds.
        clipped_low, clipped_high: voltages that stood at the end of their range.
        alone, inherited: what its own rounding changes, and what reaches it changed, as `snnfuse.export.quantization.layer_effects` has
            them: shares of spikes, or of a readout's voltage; None where it was not measured, as in reports of before there was any.
    """

    node: str
    bits: tuple[int, int]
    groups: int
    by_sign: bool
    threshold_per_neuron: bool
    exponents: tuple[int, ...]
    weight_range: float
    saturated: int
    scale: float
    rounding: float
    float_spikes: int | None
    mismatches: int | None
    agreement: float | None
    deviation: float | None
    current_used: float
    voltage_used: float
    clipped_low: int
    clipped_high: int
    alone: float | None = None
    inherited: float | None = None


def layer_reports(
    layers: tuple[Agreement, ...],
    fits: Mapping[str, Fit],
    peaks: Mapping[str, Peaks],
    recording: Recording,
    effects: Mapping[str, LayerEffect] = MappingProxyType({}),
) -> tuple[LayerReport, ...]:
    """A row per population, in the order of `layers`; the recording holds every population with its states; effects: by name."""
    return tuple(
        replace(_row(layer, fits[layer.node], peaks.get(layer.node), recording), **_apart(effects.get(layer.node))) for layer in layers
    )


def _apart(effect: LayerEffect | None) -> dict[str, float]:
    return {} if effect is None else {"alone": effect.alone.size, "inherited": effect.inherited.size}


def _row(layer: Agreement, fit: Fit, peaks: Peaks | None, recording: Recording) -> LayerReport:
    synapses = [s for groups in (*fit.synapses, fit.bias) for s in groups]
    spikes = layer.float_spikes if isinstance(layer, LayerAgreement) else None
    voltage = int(np.abs(recording.states[layer.node][fit.lif.membrane or fit.lif.states[-1]]).max()) if peaks else 0
    return LayerReport(
        node=layer.node,
        bits=fit.bits,
        groups=len(synapses),
        by_sign=any(form.split for form in fit.forms),
        threshold_per_neuron=fit.units is not None,
        exponents=tuple(s.exponent for s in synapses),
        weight_range=max((float(np.abs(s.values).max(initial=0)) / FULL_SCALE for s in synapses), default=0.0),
        saturated=fit.saturated,
        scale=fit.scale,
        rounding=fit.rounding,
        float_spikes=spikes,
        mismatches=layer.mismatches if isinstance(layer, LayerAgreement) else None,
        agreement=max(0.0, 1 - layer.mismatches / spikes) if isinstance(layer, LayerAgreement) and spikes else None,
        deviation=None if isinstance(layer, LayerAgreement) else layer.deviation,
        current_used=(int(np.abs(recording.spikes[layer.node]).max()) if peaks is None else peaks.current) / STATE_LIMIT,
        voltage_used=voltage / (STATE_LIMIT - 1),
        clipped_low=peaks.clipped_low if peaks else 0,
        clipped_high=peaks.clipped_high if peaks else 0,
    )
