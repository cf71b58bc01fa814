"""What lowering refuses, each by its text."""

import nir
import numpy as np
import pytest
import torch
from lowering_graphs import RNG, chain, lif

from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.hardware.errors import InputError, UnsafeFileError, UnsupportedError


@pytest.mark.parametrize(
    "node, message",
    [
        (nir.Delay(np.ones(4)), "node 'n0' delays by 10000 steps; a synapse delays by 62 at most"),
        (lif(4, v_reset=np.full(4, 1.5)), "node 'n0': v_threshold must lie above v_reset, .* here is -0.5 above it"),
        (lif(4, v_threshold=np.zeros(4)), "node 'n0': v_threshold must lie above v_reset, .* here is 0 above it"),
        (nir.CubaLI(*np.full((4, 4), 1.0)), "node 'n0' passes its membrane on"),
    ],
)
def test_what_cannot_be_kept_is_named(node: nir.NIRNode, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        lower(chain(node, nir.Linear(np.eye(4)), lif(4)))


@pytest.mark.parametrize(
    "node, message",
    [
        (nir.Affine(np.eye(4), np.array([0, np.nan, 0, 0])), "node 'n0': bias holds NaN or infinite"),
        (nir.Linear(np.full((4, 4), np.inf)), "node 'n0': weight holds NaN or infinite"),
        (nir.Linear(np.eye(4) * 1e308), r"node 'n0': weight holds 1e\+308, which float32 cannot"),
        (nir.Affine(np.eye(4), np.full(4, -3.5e38)), r"node 'n0': bias holds -3.5e\+38, which float32 cannot"),
        (nir.Scale(np.array(1e39)), r"node 'n0': scale holds 1e\+39, which float32 cannot"),
        (nir.Linear(np.eye(3)), r"node 'n0': weights of shape \(3, 3\) cannot take an input of shape \(4,\)"),
        (nir.Linear(np.ones((5, 4))), r"gives shape \(5,\), but 'n1' has \(4,\)"),
    ],
)
def test_bad_parameters_are_named(node: nir.NIRNode, message: str) -> None:
    with pytest.raises(InputError, match=message):
        lower(chain(node, lif(4)))


def test_a_time_constant_below_dt_is_named() -> None:
    with pytest.raises(InputError, match=r"node 'n1': tau 5e-05 s is shorter than the time step dt = 0.0001 s"):
        lower(chain(nir.Linear(np.eye(4)), lif(4, tau=np.full(4, 5e-5))))


@pytest.mark.parametrize("end", ["input", "output"])
def test_a_graph_without_an_end_says_so_before_it_names_what_hangs_loose(end: str) -> None:
    whole = chain(nir.Linear(np.eye(4)), lif(4))
    nodes = {name: node for name, node in whole.nodes.items() if name != end}
    graph = nir.NIRGraph(nodes, [edge for edge in whole.edges if end not in edge], type_check=False)
    with pytest.raises(InputError, match=f"the graph has no {end.capitalize()} node, so that there is nothing to"):
        lower(graph)


def test_a_model_is_no_graph() -> None:
    with pytest.raises(InputError, match="a NIR graph is needed, not a Linear; make one with snnfuse.export.to_nir"):
        lower(torch.nn.Linear(2, 2))


def test_loose_nodes_are_refused() -> None:
    loose = chain(nir.Linear(np.eye(4)), lif(4))
    loose.nodes["alone"] = nir.Linear(np.eye(4))
    with pytest.raises(UnsupportedError, match="node 'alone' leads nowhere"):
        lower(loose)


@pytest.mark.parametrize("scale", [np.ones(5), np.arange(5.0), np.ones((2, 8)), np.ones(4)])
def test_a_scale_of_another_size_is_refused(scale: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"node 'n0': a scale of shape .* does not fit \(4, 4\)"):
        lower(chain(nir.Scale(scale), lif(4, 4), size=(4, 4)))


def test_axes_in_another_order_are_refused() -> None:
    with pytest.raises(InputError, match=r"input gives shape \(2, 3, 4\), but 'n0' has \(4, 3, 2\)"):
        lower(chain(lif(4, 3, 2), size=(2, 3, 4)))
    assert lower(chain(lif(24), size=(2, 3, 4))).populations["n0"].shape == (24,)


def test_a_declared_output_must_be_what_arrives() -> None:
    wrong = chain(nir.Linear(np.eye(4)), lif(4))
    wrong.nodes["output"] = nir.Output({"output": np.array([3])})
    with pytest.raises(InputError, match=r"output 'output' is declared with shape \(3,\), but 'n1' has \(4,\)"):
        lower(wrong)


def test_a_declared_convolution_must_be_what_arrives() -> None:
    kernel = RNG.normal(size=(2, 1, 3, 3))
    node = nir.Conv2d((5, 6), kernel, 1, 0, 1, 1, np.zeros(2))
    with pytest.raises(InputError, match=r"node 'n0': a convolution declared for \(5, 6\) cannot take an input of shape \(1, 6, 5\)"):
        lower(chain(node, lif(2, 4, 3), size=(1, 6, 5)))
    silent = nir.Conv2d(None, kernel, 1, 0, 1, 1, np.zeros(2))
    assert lower(chain(silent, lif(2, 4, 3), size=(1, 6, 5))).populations["n1"].shape == (2, 4, 3)


def test_a_window_larger_than_its_input_is_named() -> None:
    with pytest.raises(InputError, match=r"node 'n0': a window of \(7, 7\), .* cannot take an input of shape \(1, 6, 5\)"):
        lower(chain(nir.Conv2d(None, np.ones((1, 1, 7, 7)), 1, 0, 1, 1, np.zeros(1)), lif(1), size=(1, 6, 5)))


@pytest.mark.parametrize(
    "node, message",
    [
        (nir.Affine(np.ones((4, 4)), np.ones(3)), r"node 'n0': a bias of shape \(3,\) does not fit an output of shape \(4,\)"),
        (nir.Scale(np.float32("nan")), "node 'n0': scale holds NaN"),
    ],
)
def test_parameters_that_do_not_fit_are_named(node: nir.NIRNode, message: str) -> None:
    with pytest.raises(InputError, match=message):
        lower(chain(node, lif(4)))


@pytest.mark.parametrize(
    "metadata",
    ['{"dt": "abc"}', '{"dt": -1}', '{"dt": NaN}', "null", "{", b"\xff", "[]", '{"ledger": 5}', '{"ledger": [5]}']
    + ['{"ledger": [{"x": 1}]}', '{"ledger": [{"node": "a", "change": "b", "reason": 3}]}'],
)
def test_damaged_metadata_is_one_error(metadata: str | bytes) -> None:
    damaged = chain(nir.Linear(np.eye(4)), lif(4))
    damaged.metadata["snnfuse"] = metadata
    with pytest.raises(InputError, match="the graph's metadata is damaged: .*; export the model again"):
        lower(damaged)


def test_convolutions_that_would_be_written_out_beyond_the_limit() -> None:
    first = nir.Conv2d((4000, 4000), np.ones((1, 1, 5, 5)), (1, 1), (2, 2), (1, 1), 1, np.zeros(1))
    second = nir.Conv2d((4000, 4000), np.ones((1, 1, 5, 5)), (4000, 4000), (2, 2), (1, 1), 1, np.zeros(1))
    graph = chain(first, second, nir.Flatten({"input": np.array((1, 1, 1))}, 0), nir.Linear(np.ones((1, 1))), lif(1), size=(1, 4000, 4000))
    with pytest.raises(UnsafeFileError, match="asks for .* neurons and inputs of one program|written out to be composed"):
        lower(graph)
