"""Ledger entries of quantisation: what rounding changed, in words, with its measured effect."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.differences import Difference
from snnfuse.export.lowering.network import Network
from snnfuse.export.quantization.agreement import Agreement, PayloadAgreement, ReadoutAgreement
from snnfuse.export.quantization.fitting import Fit
from snnfuse.export.quantization.layer_effects import LayerEffect
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS
from snnfuse.hardware.ir.nodes import Input
from snnfuse.hardware.ledger import LedgerEntry
from snnfuse.hardware.overflow.observed import Peaks

Encoding = Callable[[], Iterable[tuple[str, Difference]]]
Saturation = Callable[[], Difference | None]
REASON = "the chip holds integers"
CANCELLING = "errors cancelling in the membrane"  # weights as of `error_feedback.compensated`
WHOLE = 1e-9  # of a unit: what float64 may lose of a whole number of them


def input_entries(name: str, node: Input, x: NDArray, effects: Encoding) -> list[LedgerEntry]:
    """An analog input sent as graded spikes: an entry, but for numbers that are whole units already, as counts are.

    effects: what the encoding alone changes in each layer that reads it, as of `layer_effects.encoding_effects`.
    """
    units = np.rint(x / node.scale)
    error = float(np.abs(np.clip(units, -node.limit, node.limit) * node.scale - x).max())
    saturated = int((np.abs(units) > node.limit).sum())
    if error <= WHOLE * node.scale:
        return []
    change = f"analog values sent as {node.bits}-bit graded spikes of {node.scale:.4g} each"
    if node.is_written:
        change = f"its layer's currents, computed by the host once per sample, written as {node.bits}-bit biases of {node.scale:.4g} each"
    entry = LedgerEntry(
        name,
        change,
        "the chip takes integers",
        f"largest rounding error {error:.4g}, {saturated} of {x.size} values saturate, on {x.shape[1]} samples; encoding alone "
        f"changes {'; '.join(f'in {layer} {effect}' for layer, effect in effects())}",
    )
    return [entry]


def layer_entries(
    network: Network,
    layer: Agreement,
    own: LayerEffect,
    fit: Fit,
    saturation: Callable[[], Difference | None],
    peaks: Peaks | None,
) -> list[LedgerEntry]:
    """A population's entries: rounding, also where it happens to cost no spike; projections that vanished; voltages that saturate.

    own: what rounding of this population changes alone, and what it inherits.
    saturation: measures what wraps and clips change; called where there are any.
    peaks: of its states, where it has some.
    """
    entries, effect = [], f"{layer.effect}; {own}"
    if not (layer.exact and fit.faithful):
        held = f"weights {'trained ' * fit.is_trained}in {describe_forms(fit)}, {describe_groups(fit)}"
        scale = "payload" if isinstance(layer, PayloadAgreement) else "threshold"
        cancelling = f", {CANCELLING}" if fit.held is not None and not fit.is_trained else ""
        change = f"{held}{cancelling}, {scale} scale {fit.scale:.6g}, rounding {fit.rounding:.2%} of them"
        entries.append(LedgerEntry(layer.node, change, REASON, effect))
    for position in fit.vanished:
        source = network.into(layer.node)[position].source
        if network.into(layer.node)[position].weights.values.any():
            change = f"all weights from {source} are rounded to 0"
            entries.append(LedgerEntry(layer.node, change, "they are too small beside the others", effect))
    return [*entries, *saturation_entries(layer.node, saturation, peaks)]


def read_entry(layer: ReadoutAgreement, fit: Fit) -> LedgerEntry:
    """What an output that reads the voltage of neurons that fire gets."""
    unit = 1 / (fit.scale * (1 << ALIGN_BITS))
    return LedgerEntry(layer.node, f"its membrane is read in steps of {unit:.3g}", REASON, layer.effect)


def saturation_entries(node: str, saturation: Saturation, peaks: Peaks | None) -> list[LedgerEntry]:
    """An entry for voltages that saturate, where any does, with what that alone changes."""
    if peaks is None or not (peaks.clipped_low or peaks.clipped_high):
        return []
    change, measured = f"its voltage saturates {peaks.clipped_low} times below and {peaks.clipped_high} times above", saturation()
    effect = "" if measured is None else f"saturation alone changes {measured}"
    return [LedgerEntry(node, change, "the chip's voltage has 24 bits", effect)]


def describe_groups(fit: Fit) -> str:
    """How many synapse groups the projections of a population took, and whether each neuron has its own threshold, in words."""
    most = max((len(groups) for groups in fit.synapses), default=0)
    own = "" if fit.units is None else ", a threshold per neuron"
    return ("one group per projection" if most == 1 else f"up to {most} groups per projection") + own


def describe_forms(fit: Fit) -> str:
    """Bits, whether signs are held apart, and what saturates, in words."""
    excitatory, inhibitory = fit.bits
    bits = f"{excitatory} bits" if excitatory == inhibitory else f"{excitatory} bits where excitatory and {inhibitory} where inhibitory"
    apart = ", each sign in groups of its own" if any(form.split for form in fit.forms) else ""
    return bits + apart + (f", {fit.saturated} of them saturated" if fit.saturated else "")
