"""What one of snnTorch's neurons computes, read from the module, as far as all of them agree.

H is strict, V the membrane, I the input, R = H(V - theta) on the membrane that the step before left; alpha and beta are clamped to 0..1:

    V = beta V + gain I            S = g H(V - theta)
    i = alpha i + I,  V = beta V + i           with a synaptic current
    I = input + recurrent(S of the step before)        in a recurrent neuron

Source: snnTorch 1.0.0, `snntorch/_neurons`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import nir
import numpy as np
import torch
from snntorch import SpikingNeuron

from snnfuse.export.lowering.network import FloatReset
from snnfuse.export.lowering.reset_notes import MARGIN
from snnfuse.export.tracing.nodes.pieces import Array, array, expanded
from snnfuse.export.tracing.nodes.refusal import Refused, refusal
from snnfuse.hardware.ledger import LedgerEntry

RESETS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}
RESET_CODES = {"subtract": 0, "zero": 1, "none": 2}
LOW_THRESHOLD = Refused(
    "at zero a reset by subtraction takes nothing away, below it fires at rest",
    "keep thresholds above zero: shift the bias of the layer before it, or clamp them in training",
)
GRADED_OUTPUT = Refused(
    "its graded spikes are returned, and an output puts out spikes, 0 or 1",
    "return them through a Linear and a neuron, or use one positive graded_spikes_factor for all",
)
UNGRADED_CHANGE = "an output spike is 1, not {:g}"
UNGRADED_REASON = "an output puts out spikes; multiply what is counted by the factor"


@dataclass(frozen=True, eq=False)
class Rule:
    """A neuron's parameters, each float64 of the neurons' shape.

    Attributes:
        alpha: decay of the synaptic current, 0..1; None without one.
        beta: decay of the membrane, 0..1.
        gain: what a unit of input, or of the synaptic current, adds to the membrane.
        theta: threshold, above 0.
        reset: "subtract", "zero" or "none".
        delayed: whether the reset takes effect in the step after the spike.
        drops: whether the delayed reset to zero also drops what that next step receives.
        graded: what a spike counts; None for 1.
        recurrent: the map from the spikes of the step before to the input; None without one.
    """

    alpha: Array | None
    beta: Array
    gain: Array
    theta: Array
    reset: str
    delayed: bool
    drops: bool = False
    graded: Array | None = None
    recurrent: nir.NIRNode | None = None

    @property
    def raised(self) -> Array:
        """The threshold that NIR compares with."""
        return self.theta * (1 + MARGIN)

    @property
    def name(self) -> FloatReset:
        """The reset as of `snnfuse.hardware.ir.lif`; of Leaky, whose delayed reset to zero fires as an immediate one, that."""
        if self.reset == "subtract":
            return "subtract_delayed" if self.delayed else "subtract_undelayed"
        return "none" if self.reset == "none" else "zero_delayed" if self.drops and self.delayed else "zero"


@dataclass(frozen=True)
class Extra:
    """An option that no NIR neuron has.

    Attributes:
        used: whether a neuron uses it.
        reason, way_out: of the refusal.
    """

    used: Callable[[SpikingNeuron], bool]
    reason: str
    way_out: str


SIZES = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0, 1e4)  # distances from the threshold at which it is probed


def _is_step(neuron: SpikingNeuron) -> bool:
    probe = torch.tensor([*(-size for size in SIZES), 0.0, *SIZES])
    try:
        with torch.no_grad(), torch.random.fork_rng():
            fired = neuron.spike_grad(probe)
        return torch.equal(fired.to(torch.float64), (probe > 0).to(torch.float64))
    except Exception:  # a function of the user's, which fails in a run too
        return False


EXTRAS = (
    Extra(lambda n: bool(n.inhibition), "inhibition lets only the largest membrane fire, which NIR cannot say", "use inhibition=False"),
    Extra(
        lambda n: bool(n.state_quant),
        "state_quant rounds the state in every step",
        "use state_quant=False: quantize chooses the rounding",
    ),
    Extra(
        lambda n: not _is_step(n),
        "its spike_grad is not a step at the threshold when run forward",
        "use one of snntorch.surrogate",
    ),
    Extra(
        lambda n: bool((n.graded_spikes_factor == 0).any()),
        "a graded_spikes_factor of 0 loses spikes",
        "remove these neurons, or keep the factor away from 0",
    ),
)


def reset_rule(neuron: SpikingNeuron) -> str:
    """The rule that runs: `reset_mechanism_val` can be assigned or loaded later without effect on it; "own" of a user's own module."""
    if not hasattr(neuron, "state_function"):
        return "own"
    return RESETS[neuron.state_function.__name__]


def is_graded(neuron: SpikingNeuron) -> bool:
    """Whether a spike counts as something else than 1."""
    return hasattr(neuron, "graded_spikes_factor") and not bool((neuron.graded_spikes_factor == 1).all())


def spikes_node(name: str, neuron: SpikingNeuron) -> str:
    """The node that puts out the spikes of the neuron called `name`, with their factor."""
    return f"{name}.graded" if is_graded(neuron) else name


def ungraded_output(path: str, neuron: SpikingNeuron, where: str) -> LedgerEntry:
    """What becomes of graded spikes that forward returns."""
    factor = torch.unique(neuron.graded_spikes_factor.detach())
    if len(factor) > 1 or factor.item() < 0:
        raise GRADED_OUTPUT.at(where)
    return LedgerEntry(path, UNGRADED_CHANGE.format(factor.item()), UNGRADED_REASON)


def parameter(path: str, neuron: SpikingNeuron, name: str, shape: tuple[int, ...]) -> Array:
    """One of its tensors, scalar, per channel or per neuron, written out for every neuron."""
    return expanded(array(torch.as_tensor(getattr(neuron, name)), f"{path}.{name}"), shape, f"{path}.{name}")


def decay(path: str, neuron: SpikingNeuron, name: str, shape: tuple[int, ...]) -> Array:
    """A decay, clamped as snnTorch does in every step."""
    return np.clip(parameter(path, neuron, name, shape), 0, 1)


def threshold(path: str, neuron: SpikingNeuron, shape: tuple[int, ...], where: str) -> Array:
    """The threshold of a neuron; refused at or below zero where it can fire."""
    theta = parameter(path, neuron, "threshold", shape)
    if (theta <= 0).any():
        raise refusal(where, f"its threshold is {float(theta.min()):g}; {LOW_THRESHOLD.reason}", LOW_THRESHOLD.way_out)
    return theta


def graded(path: str, neuron: SpikingNeuron, shape: tuple[int, ...]) -> Array | None:
    """What a spike counts."""
    return parameter(path, neuron, "graded_spikes_factor", shape) if is_graded(neuron) else None


def check_reset(neuron: SpikingNeuron, where: str) -> None:
    """With reset_delay=False snnTorch asks `reset_mechanism_val` too, which may say something else than what was built."""
    reset = reset_rule(neuron)
    if not getattr(neuron, "reset_delay", True) and int(neuron.reset_mechanism_val) != RESET_CODES[reset]:
        reason = f"it was built to reset by {reset!r}, and reset_mechanism_val was changed to another rule"
        raise refusal(where, reason, "build it with the reset_mechanism that you mean")


def refuse_extras(neuron: SpikingNeuron, where: str) -> None:
    """Refuse options that NIR lacks."""
    for extra in EXTRAS:
        if extra.used(neuron):
            raise refusal(where, extra.reason, extra.way_out)
