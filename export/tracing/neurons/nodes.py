"""A neuron's rule as NIR nodes.

NIR's forward Euler step, v += dt/tau ((v_leak - v) + r I), is V = beta V + gain I with tau = dt/(1-beta) and r = gain/(1-beta), up to
one rounding; with beta = 1 the integrator, v += dt r I with r = gain/dt. The rounding decides ties, which are common (weights on a
grid, theta = 1), so thresholds are raised by 1e-6 of their value: snnTorch does not fire at V = theta, and then neither does NIR.

    to zero               LIF, IF or CubaLIF, NIR's own
    by subtraction        LI -> Threshold -> Scale -> LI, whose loop takes one step: Scale = -theta where the reset is delayed, and
                          -beta theta where it is not, for V' = beta (V - theta S) + I
    what NIR cannot say   the nearest of these, with a note of the rule, as of `snnfuse.export.lowering.reset_notes`
    none                  LI -> Threshold; as a membrane that is read LI alone
    graded spikes         a Scale behind the spikes
    recurrence            its Affine, Linear, Conv2d or Scale in a loop from the spikes to the input
"""

import nir
import numpy as np

from snnfuse.export.lowering.own_parameters import SLOWEST
from snnfuse.export.lowering.reset_notes import with_note
from snnfuse.export.tracing.neurons.rule import Rule
from snnfuse.export.tracing.nodes.pieces import Array, Piece, single


def spell(name: str, rule: Rule, dt: float, stored: bool) -> Piece:
    """A neuron that fires: its spikes are the output of the node called `name`, with their factor of the piece's exit.

    stored: whether its membrane is read, of which a reset to zero at once, of the same spikes as Leaky's delayed one, would leave another.
    """
    core = single(name, _zeroing_node(rule, dt)) if rule.reset == "zero" else _thresholded(name, rule, dt)
    nodes, edges, last = dict(core.nodes), list(core.edges), name
    nodes[name] = with_note(nodes[name], "zero_stored" if stored and rule.name == "zero" and rule.delayed else rule.name)
    if rule.graded is not None:
        last = f"{name}.graded"
        nodes[last] = nir.Scale(rule.graded)
        edges.append((name, last))
    if rule.recurrent is not None:
        back = f"{name}.recurrent"
        nodes[back] = rule.recurrent
        edges += [(last, back), (back, core.entry)]
    return Piece(nodes, tuple(edges), core.entry, last, membrane=core.membrane)


def integrators(name: str, membrane: str, rule: Rule, dt: float) -> Piece:
    """The membrane without its threshold, behind the synaptic current where there is one."""
    nodes = {membrane: _integrator(rule.beta, rule.gain, dt)}
    if rule.alpha is None:
        return Piece(nodes, (), membrane, membrane)
    current = f"{name}.current"
    unit = np.ones_like(rule.alpha)
    return Piece({current: _integrator(rule.alpha, unit, dt), **nodes}, ((current, membrane),), current, membrane)


def _thresholded(name: str, rule: Rule, dt: float) -> Piece:
    membrane = integrators(name, f"{name}.membrane", rule, dt)
    nodes = {**membrane.nodes, name: nir.Threshold(rule.raised)}
    edges = (*membrane.edges, (membrane.exit, name))
    if rule.reset == "none":
        return Piece(nodes, edges, membrane.entry, name, membrane=membrane.exit)
    back = f"{name}.reset"
    step = rule.theta if rule.delayed else rule.beta * rule.theta
    nodes[back] = nir.Scale(-step / rule.gain)
    read = membrane.exit if rule.delayed else None  # at once, the LI holds the voltage before the reset
    return Piece(nodes, (*edges, (name, back), (back, membrane.exit)), membrane.entry, name, membrane=read)


def _zeroing_node(rule: Rule, dt: float) -> nir.NIRNode:
    zero = np.zeros_like(rule.theta)
    if rule.alpha is None and (rule.beta == 1).all():
        return nir.IF(r=rule.gain / dt, v_threshold=rule.raised, v_reset=zero)
    tau, unit = _leak(rule.beta, dt)
    if rule.alpha is None:
        return nir.LIF(tau=tau, r=rule.gain * unit, v_leak=zero, v_threshold=rule.raised, v_reset=zero.copy())
    tau_syn, w_in = _leak(rule.alpha, dt)
    r = rule.gain * unit
    return nir.CubaLIF(tau_syn=tau_syn, tau_mem=tau, r=r, v_leak=zero, v_threshold=rule.raised, v_reset=zero.copy(), w_in=w_in)


def _integrator(decay: Array, gain: Array, dt: float) -> nir.NIRNode:
    """x = decay x + gain I."""
    if (decay == 1).all():
        return nir.I(r=gain / dt)
    tau, unit = _leak(decay, dt)
    return nir.LI(tau=tau, r=gain * unit, v_leak=np.zeros_like(decay))


def _leak(decay: Array, dt: float) -> tuple[Array, Array]:
    """Time constant in seconds and the resistance of unit gain."""
    leak = np.maximum(1 - decay, SLOWEST)
    return dt / leak, 1 / leak
