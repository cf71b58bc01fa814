"""snnTorch's Leaky and Synaptic as NIR's standard primitives.

snnTorch computes (H strict, V the membrane, I the input; alpha and beta clamped to 0..1):

    Leaky     V = beta V + I            S = H(V - theta)
    Synaptic  i = alpha i + I,  V = beta V + i

NIR's forward Euler step, v += dt/tau ((v_leak - v) + r I), is the same with tau = dt/(1-beta) and r = 1/(1-beta), up
to one rounding; with beta = 1 the integrator, v += dt r I with r = 1/dt. The rounding decides ties, which are common
(weights on a grid, theta = 1), so thresholds are raised by 1e-6 of their value: snnTorch does not fire at V = theta,
and then neither does NIR.

Reset to zero is NIR's own. Reset by subtraction is LI -> Threshold -> Scale -> LI, whose loop takes one step, with
Scale = -theta where the reset is delayed, and -beta theta where it is not: V' = beta (V - theta S) + I.
"""

from dataclasses import dataclass

import nir
import numpy as np
import torch
from snntorch import Leaky, Synaptic

from snnfuse.export.tracing.pieces import Array, Piece, array, expanded, single
from snnfuse.export.tracing.refusal import refusal
from snnfuse.hardware.ledger import LedgerEntry

THRESHOLD_MARGIN = 1e-6  # relative; above float32's rounding, far below what a weight changes
RESETS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}
RESET_CODES = {"subtract": 0, "zero": 1, "none": 2}


@dataclass(frozen=True, eq=False)
class Rule:
    """A neuron's parameters, each float64 of the neurons' shape.

    Attributes:
        alpha: decay of the synaptic current, 0..1; None for Leaky.
        beta: decay of the membrane, 0..1.
        theta: threshold; above 0 where it fires.
        reset: "subtract", "zero" or "none".
        delayed: whether the reset takes effect in the step after the spike.
    """

    alpha: Array | None
    beta: Array
    theta: Array
    reset: str
    delayed: bool

    @property
    def raised(self) -> Array:
        """The threshold that NIR compares with."""
        return self.theta * (1 + THRESHOLD_MARGIN)


def lower_neuron(name: str, path: str, neuron: Leaky | Synaptic, shape: tuple[int, ...], dt: float, readout: bool) -> Piece:
    """A neuron as NIR; its spikes, or as a readout its membrane, are the output of the node called `name`.

    Args:
        path: the module's.
        shape: of the neurons, without batch.
        dt: seconds per step.
        readout: whether the membrane is read, and not the spikes.

    Raises:
        UnsupportedError: the rule cannot be kept.
        InputError: a parameter is not finite, or does not fit the shape.
    """
    where = f"{path} ({type(neuron).__name__})"
    _refuse_extras(neuron, where)
    rule = _rule(path, neuron, shape, where)
    if readout:
        return _integrators(name, name, rule, dt, where)
    if rule.reset == "none":
        reason = 'its spikes are used, and with reset_mechanism="none" nothing ends them'
        raise refusal(where, reason, "return its membrane alone, or choose a reset")
    if (rule.theta <= 0).any():
        reason = f"its threshold is {float(rule.theta.min()):g}; at zero a reset by subtraction takes nothing away, below it fires at rest"
        raise refusal(where, reason, "keep thresholds above zero: shift the bias of the layer before it, or clamp them in training")
    if rule.reset == "zero":
        return single(name, _fires_and_zeroes(rule, dt, where))
    return _fires_and_subtracts(name, path, rule, dt, where)


def reset_rule(neuron: Leaky | Synaptic) -> str:
    """The rule that runs: `reset_mechanism_val` can be assigned or loaded later without effect on it."""
    return RESETS[neuron.state_function.__name__]


def _rule(path: str, neuron: Leaky | Synaptic, shape: tuple[int, ...], where: str) -> Rule:
    def parameter(name: str) -> Array:
        return expanded(array(getattr(neuron, name), f"{path}.{name}"), shape, f"{path}.{name}")

    alpha = np.clip(parameter("alpha"), 0, 1) if isinstance(neuron, Synaptic) else None
    reset = reset_rule(neuron)
    if not neuron.reset_delay and int(neuron.reset_mechanism_val) != RESET_CODES[reset]:
        reason = f"it was built to reset by {reset!r}, and reset_mechanism_val was changed to another rule"
        raise refusal(where, reason, "build it with the reset_mechanism that you mean")
    return Rule(alpha, np.clip(parameter("beta"), 0, 1), parameter("threshold"), reset, bool(neuron.reset_delay))


def _refuse_extras(neuron: Leaky | Synaptic, where: str) -> None:
    if not bool((neuron.graded_spikes_factor == 1).all()):
        reason = "graded_spikes_factor is not 1, and NIR's spikes are binary"
        raise refusal(where, reason, "fold the factor into the weights of the next layer")
    if neuron.inhibition:
        raise refusal(where, "inhibition lets only the largest membrane fire, which NIR cannot say", "use inhibition=False")
    if neuron.state_quant:
        raise refusal(where, "state_quant rounds the state in every step", "use state_quant=False: quantize chooses the rounding")
    if not _is_step(neuron):
        raise refusal(where, "its spike_grad is not a step at the threshold when run forward", "use one of snntorch.surrogate")


def _is_step(neuron: Leaky | Synaptic) -> bool:
    probe = torch.tensor([-2.0, -1e-3, 0.0, 1e-3, 2.0])
    with torch.no_grad(), torch.random.fork_rng():
        fired = neuron.spike_grad(probe)
    return torch.equal(fired.to(torch.float64), (probe > 0).to(torch.float64))


def _fires_and_zeroes(rule: Rule, dt: float, where: str) -> nir.NIRNode:
    zero = np.zeros_like(rule.theta)
    if rule.alpha is None:
        if (rule.beta == 1).all():
            return nir.IF(r=np.full_like(zero, 1 / dt), v_threshold=rule.raised, v_reset=zero)
        tau, r = _leak(rule.beta, dt, where, "beta")
        return nir.LIF(tau=tau, r=r, v_leak=zero, v_threshold=rule.raised, v_reset=zero.copy())
    if rule.delayed:
        reason = "its delayed reset to zero drops the next step's input too, which NIR cannot say"
        raise refusal(where, reason, "use reset_delay=False")
    tau_syn, w_in = _leak(rule.alpha, dt, where, "alpha")
    tau_mem, r = _leak(rule.beta, dt, where, "beta")
    return nir.CubaLIF(
        tau_syn=tau_syn, tau_mem=tau_mem, r=r, v_leak=zero, v_threshold=rule.raised, v_reset=zero.copy(), w_in=w_in
    )


def _fires_and_subtracts(name: str, path: str, rule: Rule, dt: float, where: str) -> Piece:
    membrane = _integrators(name, f"{name}.membrane", rule, dt, where)
    back = f"{name}.reset"
    step = rule.theta if rule.delayed else rule.beta * rule.theta
    nodes = {**membrane.nodes, name: nir.Threshold(rule.raised), back: nir.Scale(-step)}
    edges = (*membrane.edges, (membrane.exit, name), (name, back), (back, membrane.exit))
    return Piece(nodes, edges, membrane.entry, name, () if rule.delayed else (_immediate(path),))


def _immediate(path: str) -> LedgerEntry:
    change = "the immediate reset subtracts the threshold after every spike"
    reason = "snnTorch skips it in a step that begins above the threshold, which follows a membrane above twice the threshold"
    return LedgerEntry(path, change, reason)


def _integrators(name: str, membrane: str, rule: Rule, dt: float, where: str) -> Piece:
    """The membrane without its threshold, behind the synaptic current where there is one."""
    nodes = {membrane: _integrator(rule.beta, dt, where, "beta")}
    if rule.alpha is None:
        return Piece(nodes, (), membrane, membrane)
    current = f"{name}.current"
    return Piece({current: _integrator(rule.alpha, dt, where, "alpha"), **nodes}, ((current, membrane),), current, membrane)


def _integrator(decay: Array, dt: float, where: str, name: str) -> nir.NIRNode:
    """x = decay x + I."""
    if (decay == 1).all():
        return nir.I(r=np.full_like(decay, 1 / dt))
    tau, r = _leak(decay, dt, where, name)
    return nir.LI(tau=tau, r=r, v_leak=np.zeros_like(decay))


def _leak(decay: Array, dt: float, where: str, name: str) -> tuple[Array, Array]:
    """Time constant in seconds and unit gain."""
    if (decay == 1).any():
        raise refusal(where, f"{name} reaches 1, no leak, which needs an infinite time constant", f"keep {name} below 1")
    return dt / (1 - decay), 1 / (1 - decay)
