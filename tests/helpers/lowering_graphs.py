"""Small graphs, for the tests of lowering."""

import json

import nir
import numpy as np

DT = 1e-4
RNG = np.random.default_rng(0)
GRID = np.random.default_rng(3).integers(-12, 41, (8, 4, 4)) / 32  # weights that integers hold


def lif(*shape: int, beta: float = 0.9, theta: float = 1.0, **changes: np.ndarray) -> nir.LIF:
    ones = np.ones(shape)
    values = {"tau": ones * DT / (1 - beta), "r": ones / (1 - beta), "v_leak": 0 * ones, "v_threshold": theta * ones, "v_reset": 0 * ones}
    return nir.LIF(**{**values, **changes})


def li(*shape: int, beta: float) -> nir.LI:
    ones = np.ones(shape)
    return nir.LI(tau=ones * DT / (1 - beta), r=ones / (1 - beta), v_leak=0 * ones)


def graph(edges: list[tuple[str, str]], meta: bool = True, **nodes: nir.NIRNode) -> nir.NIRGraph:
    metadata = {"snnfuse": json.dumps({"dt": DT})} if meta else {}
    return nir.NIRGraph(nodes, edges, metadata=metadata, type_check=False)


def chain(*nodes: nir.NIRNode, size: int | tuple = 4, meta: bool = True) -> nir.NIRGraph:
    names = [f"n{i}" for i in range(len(nodes))]
    shape = np.atleast_1d(np.array(size))
    ends = {"input": nir.Input({"input": shape}), "output": nir.Output(nodes[-1].output_type)}
    return graph(list(zip(["input", *names], [*names, "output"])), meta, **ends, **dict(zip(names, nodes)))


def spikes(*shape: int, rate: float = 0.3) -> np.ndarray:
    return (np.random.default_rng(7).random(shape) < rate).astype(float)


def ping_pong(**second: object) -> nir.NIRGraph:
    """a and b excite each other; b's spikes take two steps more on the way back."""
    nodes = {
        "input": nir.Input({"input": np.array([4])}),
        "fc": nir.Linear(GRID[0]),
        "a": lif(4, beta=0.75),
        "ab": nir.Linear(GRID[1]),
        "b": lif(4, beta=0.5, **second),
        "ba": nir.Linear(GRID[2]),
        "wait": nir.Delay(np.full(4, 2 * DT)),
        "out": nir.Linear(GRID[3]),
        "c": lif(4, beta=0.75),
        "output": nir.Output({"output": np.array([4])}),
        "of_b": nir.Output({"output": np.array([4])}),
    }
    edges = [("input", "fc"), ("fc", "a"), ("a", "ab"), ("ab", "b"), ("b", "ba"), ("ba", "wait"), ("wait", "a")]
    return graph([*edges, ("a", "out"), ("out", "c"), ("c", "output"), ("b", "of_b")], **nodes)
