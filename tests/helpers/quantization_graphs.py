"""Small graphs and inputs, for the tests of quantization."""

import json

import nir
import numpy as np

DT = 1e-4


def lif(size: int, beta: float, theta: float | np.ndarray = 1.0) -> nir.LIF:
    ones = np.ones(size)
    return nir.LIF(tau=ones * DT / (1 - beta), r=ones / (1 - beta), v_leak=0 * ones, v_threshold=theta * ones, v_reset=0 * ones)


def cuba(size: int, alpha: float, beta: float) -> nir.CubaLIF:
    o = np.ones(size)
    taus = {"tau_syn": o * DT / (1 - alpha), "tau_mem": o * DT / (1 - beta)}
    return nir.CubaLIF(**taus, r=o / (1 - beta), w_in=o / (1 - alpha), v_leak=0 * o, v_threshold=o, v_reset=0 * o)


def chain(*nodes: nir.NIRNode, size: int | tuple[int, ...]) -> nir.NIRGraph:
    names = [f"n{i}" for i in range(len(nodes))]
    ends = {"input": nir.Input({"input": np.atleast_1d(size)}), "output": nir.Output({"output": np.array([1])})}
    edges = list(zip(["input", *names], [*names, "output"]))
    return nir.NIRGraph({**ends, **dict(zip(names, nodes))}, edges, metadata={"snnfuse": json.dumps({"dt": DT})}, type_check=False)


def binary(*shape: int, rate: float = 0.3, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) < rate).astype(float)
