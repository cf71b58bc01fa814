"""Programs for the torch backend, and the comparison of it with the reference."""

import numpy as np
import pytest
import torch
from scipy import sparse

from snnfuse.hardware import (
    Connection,
    Constant,
    Conv2d,
    Dense,
    GradedInput,
    Lif,
    Output,
    Product,
    Program,
    Relay,
    Sparse,
    SpikeInput,
    compare,
)
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.backends.torch_backend import run_torch

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU in this machine: CUDA is not compared")
DEVICES = ["cpu", pytest.param("cuda", marks=NO_GPU)]


def weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Mixed weights, int32."""
    return (2 * rng.integers(-128, 128, shape)).astype(np.int32)


def network(seed: int = 0) -> Program:
    """Every kind of node and synapse: grouped convolution, a constant, loops of spikes and numbers, a delay, lags, a product."""
    rng = np.random.default_rng(seed)
    eye = np.eye(6, dtype=np.int32)
    scattered = sparse.random(6, 128, 0.1, "csr", np.int32, rng, lambda n: 2 * rng.integers(-99, 99, n))
    nodes = {
        "in": SpikeInput((2, 8, 8)),
        "one": Constant(),
        "a": Lif((4, 4, 8), du=4095, dv=rng.integers(0, 4096, (4, 4, 8), np.int32), vth=10, reset="subtract"),
        "b": Lif((6,), du=100, dv=0, vth=30, bias_mant=5, bias_exp=1, reset="subtract_delayed"),
        "relay": Relay((6,)),
        "product": Product((6,), exponent=3),
        "out": Lif((3,), du=-1, dv=1, vth=1000),
    }
    connections = (
        Connection("in", "a", Conv2d(weights(rng, 4, 1, 3, 3), (2, 8, 8), (2, 1), (1, 2), (1, 2), groups=2, exponent=-3)),
        Connection("one", "a", Dense(np.full((128, 1), 3, np.int32), exponent=2)),
        Connection("a", "b", Dense(weights(rng, 6, 128))),
        Connection("a", "b", Sparse(scattered), lag=3),
        Connection("in", "a", Sparse(sparse.csr_matrix(2 * np.eye(128, dtype=np.int32))), lag=1),
        Connection("b", "b", Dense(weights(rng, 6, 6))),
        Connection("b", "b", Dense(weights(rng, 6, 6)), lag=5),
        Connection("b", "relay", Dense(eye * np.arange(6, dtype=np.int32), exponent=7)),
        Connection("relay", "relay", Dense(-255 * eye, exponent=7)),  # runs through all 32 bits within a few steps
        Connection("b", "product", Dense(255 * eye, exponent=7), delay=1),
        Connection("relay", "product", Dense(weights(rng, 6, 6)), port=1),
        Connection("product", "out", Dense(weights(rng, 3, 6), exponent=7)),
    )
    return Program(nodes, connections, {"y": Output("out", "membrane_sum")})


def spikes_for(program: Program, time: int, batch: int, seed: int = 1) -> dict[str, np.ndarray]:
    """Random spikes for every input."""
    rng = np.random.default_rng(seed)
    return {name: rng.integers(0, 2, (time, batch, *node.shape)) for name, node in program.inputs.items()}


def one_layer(lif: Lif, matrix: np.ndarray, bits: int, exponent: int = 0) -> Program:
    """Graded input straight into neurons."""
    nodes = {"in": GradedInput((matrix.shape[1],), bits, 1.0), "n": lif}
    return Program(nodes, (Connection("in", "n", Dense(matrix, exponent)),), {"y": Output("n")})


def assert_same(program: Program, events: dict[str, np.ndarray], **options: object) -> None:
    """Every spike, number and state of torch, and their types, are the reference's."""
    expected, found = emulate(program, events, "all", states=True), run_torch(program, events, "all", states=True, **options)
    result = compare(expected, found)
    assert result.mismatches == 0, result.first
    assert found.backend == "torch" and types(found.spikes) == types(expected.spikes)
    assert {n: types(of) for n, of in found.states.items()} == {n: types(of) for n, of in expected.states.items()}


def types(arrays: dict[str, np.ndarray]) -> dict[str, tuple]:
    return {name: (array.dtype, array.shape) for name, array in arrays.items()}
