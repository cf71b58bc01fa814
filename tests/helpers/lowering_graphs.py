"""Small graphs, for the tests of lowering."""

import json

import nir
import numpy as np

DT = 1e-4
RNG = np.random.default_rng(0)


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
