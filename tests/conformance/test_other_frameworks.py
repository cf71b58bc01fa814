"""Graphs that other frameworks wrote, and ours in their hands."""

import nir
import nir_equations
import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch_models import amplify, binary
from torch import nn

from snnfuse.export import lower, quantize, simulate, to_nir
from snnfuse.export.lowering.nir_file import read_graph
from snnfuse.export.to_snntorch.to_snntorch import from_nir
from snnfuse.hardware import emulate

PAPER = ("lif_norse.nir", "braille_noDelay_bias_zero.nir")  # from Norse, and from snnTorch


@pytest.mark.parametrize("file", PAPER)
def test_graphs_of_the_nir_paper_run(shared_data, file: str) -> None:
    """By NIR's equations, as the float network, as integers and as a snnTorch model."""
    graph = read_graph(shared_data / "nir_paper" / file)
    (name, shape), (output,) = next(iter(graph.inputs.items())), graph.outputs
    x = (np.random.default_rng(0).random((120, 4, *shape.input_type["input"])) < 0.3).astype(float)
    expected = nir_equations.simulate(graph, {name: x})[output]
    network = lower(graph)
    np.testing.assert_array_equal(simulate(network, {name: x}).spikes[network.outputs[output]], expected)
    model = from_nir(graph, dtype=torch.float64)
    with torch.no_grad():
        np.testing.assert_array_equal(np.array([model(torch.from_numpy(step)).numpy() for step in x]), expected)
    program = quantize(graph, x)
    found = emulate(program, program.encode(x)).spikes[output]
    assert expected.sum() > 0 and (found != expected).sum() < 0.15 * expected.sum()


def sinabs_graph() -> nir.NIRGraph:
    """As sinabs 3.1's to_nir writes it: shapes left open, time in steps, r of 1, and whatever was a tuple still one."""
    rng = np.random.default_rng(0)

    def integrate(*shape: int) -> nir.IF:
        return nir.IF(r=np.ones(shape, np.float32), v_threshold=np.ones(shape, np.float32))

    kernel = rng.normal(0.2, 0.5, (4, 2, 3, 3)).astype(np.float32)
    nodes = {
        "input": nir.Input({"input": np.array([2, 8, 8])}),
        "0": nir.Conv2d(None, kernel, (1, 1), (1, 1), (1, 1), 1, np.zeros(4, np.float32)),
        "1": integrate(4, 8, 8),
        "2": nir.SumPool2d((2, 2), (2, 2), (0, 0)),
        "3": nir.Flatten(None, 0, -1),
        "4": nir.Affine(rng.normal(0.05, 0.3, (5, 64)).astype(np.float32), np.zeros(5, np.float32)),
        "5": nir.LIF(*(np.full(5, value, np.float32) for value in (8, 8, 0, 1))),
        "output": nir.Output({"output": np.array([5])}),
    }
    names = list(nodes)
    return nir.NIRGraph(nodes, list(zip(names, names[1:])))  # which fills in the shapes


def test_a_graph_as_sinabs_writes_it_opens_with_a_time_step_of_one(tmp_path) -> None:
    nir.write(tmp_path / "sinabs.nir", sinabs_graph())
    graph = read_graph(tmp_path / "sinabs.nir")
    x = (np.random.default_rng(1).random((40, 3, 2, 8, 8)) < 0.2).astype(float)
    network = lower(graph, dt=1.0)
    expected = nir_equations.simulate(graph, {"input": x}, dt=1.0)["output"]
    np.testing.assert_array_equal(simulate(network, {"input": x}).spikes["5"], expected)
    program = quantize(graph, x, dt=1.0)
    assert 0.02 < expected.mean() < 0.9
    assert (emulate(program, program.encode(x)).spikes["output"] != expected).sum() < 0.1 * expected.sum()


@pytest.fixture
def from_norse():
    norse = pytest.importorskip("norse.torch", reason="Norse is not installed (pip install --no-deps norse)")

    def load(graph: nir.NIRGraph):
        return norse.from_nir(graph, dt=1e-4)

    return load


def steps_of(model: nn.Module, x: torch.Tensor) -> np.ndarray:
    """A model that returns its state, over time."""
    state, found = None, []
    with torch.no_grad():
        for step in x:
            y, state = model(step) if state is None else model(step, state)
            found.append(y.numpy())
    return np.array(found)


def test_norse_gives_our_spikes_on_its_own_graph(shared_data, from_norse) -> None:
    x = (torch.rand(500, 3, 1, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    graph = nir.read(shared_data / "nir_paper/lif_norse.nir")
    ours = simulate(lower(graph), {"input": x.numpy()}).spikes["1"]
    np.testing.assert_array_equal(steps_of(from_norse(graph), x), ours)
    assert ours.sum() > 100


def test_norse_runs_the_graphs_that_we_write(from_norse) -> None:
    """CubaLIF, which Norse reads whole; of LIF and IF it leaves r out, with a warning."""
    torch.manual_seed(0)
    neurons = [snn.Synaptic(alpha=0.6, beta=beta, init_hidden=True, reset_mechanism="zero", reset_delay=False) for beta in (0.8, 0.7)]
    model = nn.Sequential(nn.Linear(10, 12), neurons[0], nn.Linear(12, 5), neurons[1])
    amplify(model, 2.5)
    x = binary(10).float()
    with torch.no_grad():
        expected = torch.stack([model(step) for step in x]).numpy()
    np.testing.assert_array_equal(steps_of(from_norse(to_nir(model, torch.zeros(1, 10))), x), expected)
    assert expected.sum() > 50
