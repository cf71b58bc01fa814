"""Bits of single layers, by the neurons' name or by that of the weights that feed them."""

import nir
import numpy as np
import pytest
from quantization_graphs import binary, lif

from snnfuse.export import quantize
from snnfuse.hardware.errors import InputError


def graph() -> nir.NIRGraph:
    rng, nodes = np.random.default_rng(0), {"input": nir.Input({"input": np.array([6])})}
    nodes |= {"fc1": nir.Linear(rng.normal(0, 0.6, (8, 6))), "gain": nir.Scale(np.full(8, 1.2)), "lif1": lif(8, 0.8)}
    nodes |= {"fc2": nir.Linear(rng.normal(0, 0.6, (4, 8))), "lif2": lif(4, 0.8), "output": nir.Output({"output": np.array([4])})}
    return nir.NIRGraph(nodes, [*zip(nodes, [*nodes][1:])])


def widths(given: dict) -> dict[str, int]:
    program = quantize(graph(), binary(30, 8, 6), weight_bits=given, max_groups=1)
    return {c.target: c.synapse.bits for c in program.connections}


@pytest.mark.parametrize("given", [{"fc1": 4, "fc2": 5}, {"lif1": 4, "fc2": 5}, {"gain": 4, "lif2": 5}, {"fc1": 4, "lif1": 4, "lif2": 5}])
def test_a_layer_of_weights_stands_for_what_it_feeds(given: dict) -> None:
    assert widths(given) == {"lif1": 4, "lif2": 5}


def test_a_name_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="weight_bits names 'fc3', but the populations are lif1, lif2; did you mean 'fc[12]'"):
        widths({"fc3": 4})
    with pytest.raises(InputError, match="weight_bits names 'output', which feeds no population; these are lif1, lif2"):
        widths({"output": 4})
    with pytest.raises(InputError, match="'fc1' 4 bits and 'lif1' 3: both feed 'lif1', which has one width"):
        widths({"fc1": 4, "lif1": 3})
