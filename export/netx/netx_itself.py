"""What lava-dl's netx makes of a layer, where that is not what SLAYER trained: it changes values without a word.

Source: lava-dl 0.6.0, `lava/lib/dl/netx/utils.py` (`optimize_weight_bits`, repeated here) and `hdf5.py`; lava-nc 0.10.0,
`lava/utils/weightutils.py`, whose clip and truncation the synapses' first step applies. Tests compare it with the real ones.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.netx.contents import Array, NetLayer, NetSdnn, WeightedLayer
from snnfuse.hardware.ir.synapses import LIMITS, sign_mode
from snnfuse.hardware.ledger import LedgerEntry

REASON = "netx, not this import"
CHIP_BITS = 8


class Built(NamedTuple):
    """Weights as Lava's synapse runs them: the sum of `weights` is shifted by `exponent`; `bits` is what netx asks for."""

    weights: Array
    exponent: int
    bits: int

    @property
    def effective(self) -> NDArray[np.float64]:
        """What the weights are worth, in the file's units; a fraction is lost only after the sum."""
        return np.ldexp(self.weights.astype(np.float64), self.exponent)


def built(weights: Array, part: slice = slice(None)) -> Built:
    """The synapses that netx builds from integer weights (out, in), not all 0; of the columns in `part`, chosen bits for all."""
    signed = weights.max() >= 0 > weights.min()
    clipped = np.clip(weights, -256, 254) if _is_clipped(weights) else weights
    high, low = int(clipped.max()), int(clipped.min())
    if high < 0:
        scale = -256 / low
    elif low >= 0:
        scale = 255 / high
    else:
        scale = min(127 / high if high else np.inf, -128 / low)
    shift = int(np.floor(np.log2(scale))) + signed
    zeros = next((n for n in range(8, 0, -1) if not (clipped % (1 << n)).any()), 0)
    bits = 8 - shift - (zeros - signed)
    shifted = np.left_shift(clipped.astype(np.int32), shift)[:, part]
    return Built(_on_the_first_step(shifted, bits).astype(np.int64), -shift, bits)


def _is_clipped(weights: Array) -> bool:
    high, low = weights.max(), weights.min()
    return bool((high > 254 and low < 0) or (low < -256 and high > 0))


def _on_the_first_step(weights: Array, bits: int) -> Array:
    """Lava's own clip and truncation."""
    mode = sign_mode(weights)
    weights = np.clip(weights, *LIMITS[mode])
    sign = -1 if mode == "inhibitory" else 1
    cut = np.int32(8 - bits + (mode == "mixed"))
    return sign * (sign * weights >> cut << cut)


def differences(layers: tuple[NetLayer, ...]) -> tuple[LedgerEntry, ...]:
    """Where netx would run another network than the file holds; node is the layer, change is what netx does."""
    found = []
    for layer in layers:
        if layer.kind == "average":
            found.append(LedgerEntry(layer.name, f"cannot build it; give it num_layers={layer.name[6:]}", REASON))
        if isinstance(layer, WeightedLayer):
            changes = [*_weight_changes(layer), *_neuron_changes(layer), *_delay_changes(layer)]
            found += [LedgerEntry(layer.name, change, REASON) for change in changes]
    return tuple(found)


def _weight_changes(layer: WeightedLayer) -> list[str]:
    if layer.kind == "conv":
        return []
    parts = [layer.weight] if layer.weight_rec is None else [layer.weight, layer.weight_rec]
    both = np.hstack(parts)
    if not both.any():
        return ["refuses weights that are all 0, with an OverflowError"]
    columns = [slice(0, parts[0].shape[1]), slice(parts[0].shape[1], None)][: len(parts)]
    run = [built(both, part) for part in columns]
    other = sum(int((one.effective != part).sum()) for one, part in zip(run, parts))
    changes = [f"runs {other} of {both.size} weights as others{_example(run, parts)}"] if other else []
    if not other and run[0].bits > CHIP_BITS:
        changes.append(f"asks for {run[0].bits}-bit weights, which no chip has")
    if layer.weight_rec is not None and layer.delay is not None and layer.delay.any() and run[0].exponent:
        changes.append(f"drops the exponent {run[0].exponent} of the weights, which it has multiplied by {1 << -run[0].exponent}")
    return changes


def _example(run: list[Built], parts: list[Array]) -> str:
    for one, part in zip(run, parts):
        at = np.argwhere(one.effective != part)
        if len(at):
            return f", for example {part[tuple(at[0])]} as {one.effective[tuple(at[0])]:g}"
    return ""


def _neuron_changes(layer: NetLayer) -> list[str]:
    neuron, changes = layer.neuron, []
    if isinstance(neuron, NetSdnn):
        return ["runs relu in place of no activation"] if neuron.activation != "relu" and not neuron.is_output else []
    if neuron is None:
        return []
    if neuron.refractory > 1:
        changes.append(f"ignores the refractory delay of {neuron.refractory} steps")
    if neuron.weight_exp:
        changes.append(f"ignores {'neuron/weight_exp' if neuron.normalised else 'neuron/wgtExp'}, a factor of 2**{neuron.weight_exp}")
    return changes


def _delay_changes(layer: WeightedLayer) -> list[str]:
    if layer.delay is None or not layer.delay.any():
        return []
    if layer.kind == "conv":
        return ["ignores the delays of a convolution"]
    if layer.weight_rec is not None:
        if layer.weight.shape != layer.weight_rec.shape:
            return ["cannot build it: the delays do not fit its recurrent weights"]
        return ["delays what enters the neurons, their own feedback too, where SLAYER delays the spikes that leave them"]
    if layer.bias is not None:
        return ["delays what enters the neurons, but not their bias, where SLAYER delays the spikes that leave them"]
    return []
