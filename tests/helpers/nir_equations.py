"""NIR by its own equations: a simulator for reading, which shares no code with the compiler.

Every node follows the docstring of its class in `nir/ir`, in float64, its differential equations by one forward Euler
step of `dt`:

    LI       v += dt/tau ((v_leak - v) + r I)
    LIF      as LI; z = v > v_threshold; v = v_reset where z
    CubaLIF  i += dt/tau_syn (w_in I - i); then as LIF with tau_mem and this i
    CubaLI   as CubaLIF, and never fires
    I, IF    v += dt r I; IF fires and resets as LIF
    Delay    y(t) = x(t - delay), and 0 before

A node's input is the sum over its edges. In a loop the one-step delay lies on the edges that leave a spiking node
within that loop.
"""

import graphlib

import networkx
import nir
import numpy as np

SPIKING = (nir.LIF, nir.CubaLIF, nir.IF, nir.Threshold)


def simulate(graph: nir.NIRGraph, inputs: dict[str, np.ndarray], dt: float = 1e-4) -> dict[str, np.ndarray]:
    """Inputs (time, batch, *shape) by name to outputs (time, batch, *shape) by name, from rest."""
    late = delayed_edges(graph)
    order = evaluation_order(graph, late)
    states: dict[str, dict[str, np.ndarray]] = {name: {} for name in graph.nodes}
    batch = next(iter(inputs.values())).shape[1]
    before = {s: np.zeros((batch, *graph.nodes[s].output_type["output"])) for s, _ in late}
    record: dict[str, list[np.ndarray]] = {name: [] for name in graph.outputs}
    for t in range(len(next(iter(inputs.values())))):
        now: dict[str, np.ndarray] = {}
        for name in order:
            if isinstance(graph.nodes[name], nir.Input):
                now[name] = np.asarray(inputs[name][t], np.float64)
                continue
            into = [now[s] for s, target in graph.edges if target == name and (s, target) not in late]
            into += [before[s] for s, target in late if target == name]
            now[name] = step(graph.nodes[name], states[name], sum(into[1:], into[0]), dt)
        before = now
        for name, values in record.items():
            values.append(now[name])
    return {name: np.array(values) for name, values in record.items()}


def delayed_edges(graph: nir.NIRGraph) -> set[tuple[str, str]]:
    loops = networkx.strongly_connected_components(networkx.DiGraph(list(graph.edges)))
    loop_of = {name: i for i, loop in enumerate(loops) for name in loop}
    return {(s, t) for s, t in graph.edges if loop_of[s] == loop_of[t] and isinstance(graph.nodes[s], SPIKING)}


def evaluation_order(graph: nir.NIRGraph, late: set[tuple[str, str]]) -> list[str]:
    """Sources first; an instantaneous loop is an error."""
    sources: dict[str, set[str]] = {name: set() for name in graph.nodes}
    for s, t in graph.edges:
        if (s, t) not in late:
            sources[t].add(s)
    return list(graphlib.TopologicalSorter(sources).static_order())


def step(node: nir.NIRNode, state: dict[str, np.ndarray], x: np.ndarray, dt: float) -> np.ndarray:
    """One time step of one node; `state` is its own, changed in place."""
    if isinstance(node, nir.Linear | nir.Affine):
        y = x @ node.weight.T
        return y + node.bias if isinstance(node, nir.Affine) else y
    if isinstance(node, nir.Conv1d | nir.Conv2d):
        return convolve(x, node)
    if isinstance(node, nir.Delay):
        return delay(node, state, x, dt)
    if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        size = 1 if isinstance(node, nir.SumPool2d) else np.prod(node.kernel_size)
        return windows(x, node.kernel_size, node.stride, node.padding).sum((0, 1)) / size
    if isinstance(node, nir.Flatten):
        start, end = (d % (x.ndim - 1) for d in (node.start_dim, node.end_dim))
        return x.reshape(*x.shape[: start + 1], -1, *x.shape[end + 2 :])
    if isinstance(node, nir.Scale):
        return node.scale * x
    if isinstance(node, nir.Threshold):
        return (x > node.threshold).astype(np.float64)
    if isinstance(node, nir.Output):
        return x
    return neuron(node, state, x, dt)


def neuron(node: nir.NIRNode, state: dict[str, np.ndarray], x: np.ndarray, dt: float) -> np.ndarray:
    v = state.setdefault("v", np.zeros_like(x))
    if isinstance(node, nir.CubaLIF | nir.CubaLI):
        i = state.setdefault("i", np.zeros_like(x))
        x = state["i"] = i + dt / node.tau_syn * (node.w_in * x - i)
    if isinstance(node, nir.I | nir.IF):
        v = v + dt * node.r * x
    else:
        tau = node.tau_mem if isinstance(node, nir.CubaLIF | nir.CubaLI) else node.tau
        v = v + dt / tau * ((node.v_leak - v) + node.r * x)
    state["v"] = v
    if isinstance(node, nir.LI | nir.I | nir.CubaLI):
        return v
    z = v > node.v_threshold
    state["v"] = np.where(z, node.v_reset, v)
    return z.astype(np.float64)


def delay(node: nir.Delay, state: dict, x: np.ndarray, dt: float) -> np.ndarray:
    steps = np.broadcast_to(np.rint(np.asarray(node.delay) / dt).astype(int), x.shape)
    state["past"] = [x, *state.get("past", [])][: steps.max() + 1]
    past = np.array([*state["past"], *[np.zeros_like(x)] * (steps.max() + 1 - len(state["past"]))])
    return np.take_along_axis(past, steps[None], 0)[0]


def convolve(x: np.ndarray, node: nir.Conv1d | nir.Conv2d) -> np.ndarray:
    """(batch, in, h, w) to (batch, out, h', w'), or without h: the sum over taps of shifted inputs."""
    assert node.groups == 1
    flat, kernel = isinstance(node, nir.Conv1d), node.weight.shape[2:]
    pairs = {key: np.broadcast_to(getattr(node, key), len(kernel)) for key in ("stride", "dilation")}
    pairs["padding"] = np.array(
        {"valid": [0] * len(kernel), "same": [d * (k - 1) // 2 for d, k in zip(pairs["dilation"], kernel, strict=True)]}[node.padding]
        if isinstance(node.padding, str)
        else np.broadcast_to(node.padding, len(kernel))
    )
    if flat:  # a row of height 1
        x, pairs = x[:, :, None], {key: np.array([key != "padding", *pair]) for key, pair in pairs.items()}
    weight = node.weight[:, :, None] if flat else node.weight
    taps = windows(x, weight.shape[2:], pairs["stride"], pairs["padding"], pairs["dilation"])
    y = np.einsum("ijbchw,ocij->bohw", taps, weight) + node.bias[:, None, None]
    return y[:, :, 0] if flat else y


def windows(x: np.ndarray, kernel, stride, padding, dilation=(1, 1)) -> np.ndarray:
    """(row tap, column tap, batch, channel, h', w'): what each tap of a zero-padded window sees."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = (np.asarray(pair).tolist() for pair in (kernel, stride, padding, dilation))
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    height, width = ((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], (kh, kw), (sh, sw), (dh, dw), strict=True))
    rows, columns = (slice(0, (n - 1) * s + 1, s) for n, s in ((height, sh), (width, sw)))
    return np.array([[x[:, :, i * dh :, j * dw :][:, :, rows, columns] for j in range(kw)] for i in range(kh)])
