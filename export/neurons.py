"""NIR's neuron nodes as populations in discrete time, by forward Euler:

    LIF, LI      v' = v + dt/tau ((v_leak - v) + r I)           so beta = 1 - dt/tau, gain = r dt/tau
    CubaLIF      i' = i + dt/tau_syn (w_in I - i), then as LIF with tau_mem and i'
    IF, I        v' = v + dt r I

Source: the docstrings of `nir/ir/neuron.py`; that a spike meets the updated current is snnTorch's order, which NIR leaves open.
"""

import nir
import numpy as np

from snnfuse.export.network import Array, Population
from snnfuse.hardware.errors import InputError, UnsupportedError

FIRING_NODES = (nir.LIF, nir.CubaLIF, nir.IF)
LEAKY_NODES = (nir.LI, nir.I)  # membranes without a threshold of their own
EULER_TOLERANCE = 1e-6  # how far dt/tau may exceed 1, relative: files hold tau in float32, which rounds by up to 6e-8


def population(name: str, node: nir.NIRNode, dt: float) -> Population:
    """A firing node, or a membrane as a readout that never fires; parameters keep the shapes that the node gives them.

    Raises:
        UnsupportedError: v_reset is not 0, a threshold is not positive.
        InputError: a time constant is shorter than dt.
    """
    if isinstance(node, FIRING_NODES):
        return _firing(name, node, dt)
    theta = np.full(np.shape(node.r), np.inf)
    beta, gain, leak = membrane(name, node, dt)
    return _population(beta, gain, theta, leak)


def membrane(name: str, node: nir.NIRNode, dt: float) -> tuple[Array, Array, Array]:
    """beta, gain and what v_leak adds to the voltage on every step."""
    r = np.asarray(node.r, np.float64)
    if isinstance(node, (nir.IF, nir.I)):
        return np.ones_like(r), r * dt, np.zeros_like(r)
    tau = node.tau_mem if isinstance(node, nir.CubaLIF) else node.tau
    step = euler_step(name, "tau", tau, dt)
    return 1.0 - step, r * step, step * np.asarray(node.v_leak, np.float64)


def euler_step(name: str, parameter: str, tau: Array, dt: float) -> Array:
    """dt / tau, which must lie in 0..1 for a step to leave a factor in 0..1."""
    tau = np.asarray(tau, np.float64)
    step = np.divide(dt, tau, where=tau > 0, out=np.full(tau.shape, np.inf))
    if (step > 1 + EULER_TOLERANCE).any():
        raise InputError(
            f"node {name!r}: {parameter} {float(tau.min()):g} s is shorter than the time step dt = {dt:g} s; "
            "give the dt that the graph was trained with (--dt)"
        )
    return np.minimum(step, 1.0)


def _firing(name: str, node: nir.NIRNode, dt: float) -> Population:
    theta = np.asarray(node.v_threshold, np.float64)
    if (theta <= 0).any():
        raise UnsupportedError(f"node {name!r}: v_threshold must be positive, not {float(theta.min()):g}; shift the voltage or retrain")
    if node.v_reset is not None and np.any(node.v_reset):
        raise UnsupportedError(
            f"node {name!r}: v_reset is {float(np.ravel(node.v_reset)[0]):g}; the chip resets to 0 only: shift v_leak and v_threshold by it"
        )
    beta, gain, leak = membrane(name, node, dt)
    if not isinstance(node, nir.CubaLIF):
        return _population(beta, gain, theta, leak)
    step = euler_step(name, "tau_syn", node.tau_syn, dt)
    return _population(beta, gain, theta, leak, 1.0 - step, step * np.asarray(node.w_in, np.float64))


def _population(
    beta: Array, gain: Array, theta: Array, leak: Array, alpha: Array | None = None, current_gain: Array | None = None
) -> Population:
    return Population(
        shape=tuple(int(n) for n in theta.shape),
        beta=beta,
        gain=gain,
        theta=theta,
        alpha=alpha,
        current_gain=np.ones_like(theta) if current_gain is None else current_gain,
        bias=np.zeros_like(theta),
        voltage_bias=leak,
    )


def check_finite(name: str, node: nir.NIRNode) -> None:
    """InputError naming the node and parameter that holds NaN or an infinite value."""
    for key, value in vars(node).items():
        if isinstance(value, (np.ndarray, np.generic, float)) and np.asarray(value).dtype.kind == "f" and not np.isfinite(value).all():
            raise InputError(f"node {name!r}: {key} holds NaN or infinite values; was the network trained to the end?")
