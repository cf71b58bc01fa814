"""NIR's neuron nodes as populations in discrete time, by forward Euler:

    LIF, LI            v' = v + dt/tau ((v_leak - v) + r I)           so beta = 1 - dt/tau, gain = r dt/tau
    CubaLIF, CubaLI    i' = i + dt/tau_syn (w_in I - i), then as LIF with tau_mem and i'
    IF, I              v' = v + dt r I

Source: the docstrings of `nir/ir/neuron.py`; that a spike meets the updated current is snnTorch's order, which NIR leaves open.
"""

from dataclasses import replace

import nir
import numpy as np

from snnfuse.export.lowering.maximum_patterns import MaximumNode
from snnfuse.export.lowering.network import Array, Population
from snnfuse.export.lowering.product_patterns import ProductNode
from snnfuse.export.lowering.registry import GROUP, NeuronLowering, NodeLowering
from snnfuse.export.ops_table import Row
from snnfuse.hardware.errors import InputError, UnsupportedError

Firing = nir.LIF | nir.CubaLIF | nir.IF
Leaky = nir.LI | nir.CubaLI | nir.I
INTEGRATORS = (nir.LI, nir.I)  # membranes without a synaptic current of their own
EULER_TOLERANCE = 1e-6  # how far dt/tau may exceed 1, relative: files hold tau in float32, which rounds by up to 6e-8


def population(name: str, node: Firing | Leaky, dt: float) -> Population:
    """A firing node, or a membrane as a readout that never fires; parameters keep the shapes that the node gives them.

    Raises:
        UnsupportedError: a threshold does not lie above where the voltage resets to.
        InputError: a time constant is shorter than dt.
    """
    beta, gain, leak = membrane(name, node, dt)
    neuron = Population(
        shape=tuple(int(n) for n in gain.shape),
        beta=beta,
        gain=gain,
        theta=np.full(gain.shape, np.inf),
        alpha=None,
        current_gain=np.ones_like(gain),
        bias=np.zeros_like(gain),
        voltage_bias=leak,
    )
    if isinstance(node, (nir.CubaLIF, nir.CubaLI)):
        step = euler_step(name, "tau_syn", node.tau_syn, dt)
        neuron = replace(neuron, alpha=1.0 - step, current_gain=step * np.asarray(node.w_in, np.float64))
    return _firing(name, node, neuron) if isinstance(node, (nir.LIF, nir.IF, nir.CubaLIF)) else neuron


def membrane(name: str, node: Firing | Leaky, dt: float) -> tuple[Array, Array, Array]:
    """beta, gain and what v_leak adds to the voltage on every step."""
    r = np.asarray(node.r, np.float64)
    if isinstance(node, (nir.IF, nir.I)):
        return np.ones_like(r), r * dt, np.zeros_like(r)
    tau = node.tau_mem if isinstance(node, (nir.CubaLIF, nir.CubaLI)) else node.tau
    step = euler_step(name, "tau", tau, dt)
    if not np.isfinite(r[step > 0] if r.shape == step.shape else r).all():
        raise InputError(f"node {name!r}: r is infinite where tau is not; was the network trained to the end?")
    gain = np.where(np.isinf(r), 1.0, np.where(np.isinf(r), 0.0, r) * step)  # r = tau / dt, as exporters write a gain of 1
    return 1.0 - step, gain, step * np.asarray(node.v_leak, np.float64)


def euler_step(name: str, parameter: str, tau: Array, dt: float) -> Array:
    """dt / tau, which must lie in 0..1 for a step to leave a factor in 0..1."""
    tau = np.asarray(tau, np.float64)
    step = np.divide(dt, tau, where=tau > 0, out=np.full(tau.shape, np.inf))
    if (step > 1 + EULER_TOLERANCE).any():
        raise InputError(
            f"node {name!r}: {parameter} {float(tau.min()):g} s is shorter than the time step dt = {dt:g} s; "
            "give the one that the graph was trained with, as dt=0.001"
        )
    return np.minimum(step, 1.0)


def _firing(name: str, node: Firing, neuron: Population) -> Population:
    theta = np.asarray(node.v_threshold, np.float64)
    reset_to = np.zeros_like(theta) if node.v_reset is None else np.asarray(node.v_reset, np.float64)
    if not (theta > reset_to).all():
        raise UnsupportedError(
            f"node {name!r}: v_threshold must lie above v_reset, where the voltage starts again, and here is "
            f"{float(np.min(theta - reset_to)):g} above it; raise it, or lower v_reset, and retrain"
        )
    return replace(neuron, theta=theta, reset_to=reset_to if reset_to.any() else None)


def check_numbers(name: str, node: nir.NIRNode, lowering: NodeLowering) -> None:
    """InputError naming the node and parameter that holds anything but real numbers that are finite in float32 too, as other tools read."""
    for key in lowering.numbers:
        value = getattr(node, key, None)
        if (value is None and key in lowering.optional) or (key == "padding" and isinstance(value, (str, bytes))):
            continue
        try:
            array = np.asarray(value)
        except ValueError:  # rows of different lengths
            array = np.asarray(None)
        if array.dtype.kind not in "fiub" or not array.size:
            raise InputError(f"node {name!r}: {key} holds {_shown(value)}, where real numbers are needed; write the graph again")
        is_finite = np.isfinite(array)
        if not (is_finite | (array == np.inf) if key in lowering.endless else is_finite).all():
            raise InputError(f"node {name!r}: {key} holds NaN or infinite values; was the network trained to the end?")
        beyond = array[is_finite & (np.abs(array.astype(np.float64, copy=False)) > LARGEST)]
        if beyond.size:
            said = f"{key} holds {float(beyond.flat[0]):g}, which float32 cannot, so that other tools would read infinity"
            raise InputError(f"node {name!r}: {said}; was the network trained to the end?")


def _shown(value: object) -> str:
    return "nothing" if value is None or getattr(value, "size", 1) == 0 else f"a {type(value).__name__}"


_FIRING, _LEAKY = "LIF, CubaLIF, IF", "LI, I, CubaLI"
_NEURON_ROWS = (
    Row(GROUP, _FIRING, "v_leak not 0", "exact", "a bias of the voltage"),
    Row(GROUP, _FIRING, "v_reset not 0", "approximate", "the voltage counts from v_reset, and starts there instead of at 0"),
    Row(GROUP, _FIRING, "v_threshold not above v_reset", "refused", "it fires at rest", "raise the threshold, or lower v_reset"),
    Row(GROUP, _LEAKY, "read by another node than these", "refused", "only spikes travel on the chip",
        "add a Threshold, or read it as an output"),
    Row(GROUP, "I", "r = 1 / dt, of counts, read by layers", "exact", "a sum over time: a graded relay that feeds itself"),
    Row(GROUP, "all with a tau", "shorter than the time step", "refused", "its Euler step overshoots", "give the graph's own dt"),
)  # fmt: skip
_THRESHOLD_ROWS = (
    Row(GROUP, "Threshold", "on LI or I, with Scale(-theta) back to it", "exact", "reset by subtraction from the next voltage"),
    Row(GROUP, "Threshold", "on LI or I, with Scale(-beta theta) back to it", "exact", "reset by subtraction at once"),
    Row(GROUP, "Threshold", "on LI or I, without one of these", "exact", "a population that never resets"),
    Row(GROUP, "Threshold", "after SumPool2d of spikes", "exact", "a maximum, if it lies in 0..1"),
    Row(GROUP, "Threshold", "N of them on x and Scale(N) of q, at N + 1/2 to 2N - 1/2", "exact",
        "a product of counts x and q, if it can be shown that x <= N and q <= 1: an AND neuron or a product neuron"),
    Row(GROUP, "Threshold", "after anything else, an Input too", "exact", "a population that forgets from step to step"),
)  # fmt: skip
LARGEST = float(np.finfo(np.float32).max)
_ENDLESS = ("tau", "tau_mem", "tau_syn", "r", "v_threshold")  # infinity: it never decays, and never fires
_MEMBRANE, _CUBA = ("tau", "r", "v_leak"), ("tau_mem", "tau_syn", "r", "w_in", "v_leak")
_RESET = ("v_threshold", "v_reset")


_LIF = "a population that resets to zero"
_CUBA_LIF = "a population with a synaptic current that resets to zero; a spike meets the updated current"
_IF = "a population without a leak that resets to zero"
_LI = "a readout of its membrane, the membrane of a neuron that a Threshold fires, or the synaptic current before one or a LIF"
_CUBA_LI = "a readout of its membrane, with a synaptic current"
_READ = {"population": population, "fires": False, "endless": _ENDLESS}
_FIRES = {"population": population, "optional": ("v_reset",), "endless": _ENDLESS}

LOWERINGS: dict[type[nir.NIRNode], NodeLowering] = {
    nir.LIF: NeuronLowering(_LIF, numbers=(*_MEMBRANE, *_RESET), **_FIRES),
    nir.CubaLIF: NeuronLowering(_CUBA_LIF, numbers=(*_CUBA, *_RESET), takes_current=False, **_FIRES),
    nir.IF: NeuronLowering(_IF, numbers=("r", *_RESET), **_FIRES),
    nir.LI: NeuronLowering(_LI, numbers=_MEMBRANE, **_READ),
    nir.I: NeuronLowering("as LI, without a leak", numbers=("r",), **_READ),
    nir.CubaLI: NeuronLowering(_CUBA_LI, _NEURON_ROWS, numbers=_CUBA, takes_current=False, **_READ),
    nir.Threshold: NodeLowering(rows=_THRESHOLD_ROWS, numbers=("threshold",)),
    ProductNode: NodeLowering(),
    MaximumNode: NodeLowering(),
}
