"""Two of checkpoint, graph, bundle, saved run and netx file: equal, or the first difference and exit 1."""

from dataclasses import replace
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from cli_calls import Cli
from quantization_graphs import binary, chain, lif
from snntorch import Leaky

from snnfuse import save_checkpoint
from snnfuse.export import quantize, record_floats, to_nir, write_bundle, write_net
from snnfuse.hardware import Recording, compare, emulate
from snnfuse.networks import architecture

RNG = np.random.default_rng(0)
LINEAR = [nir.Linear(RNG.integers(-3, 4, shape) * 0.25) for shape in ((8, 5), (3, 8))]
GRAPH = chain(LINEAR[0], lif(8, 0.9), LINEAR[1], lif(3, 0.8), size=5)
X = binary(20, 6, 5)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    program = quantize(GRAPH, X, max_groups=1)
    broken = replace(program, nodes={**program.nodes, "n3": replace(program.nodes["n3"], dv=1500)})
    for name, made in (("sound", program), ("broken", broken)):
        write_bundle(tmp_path / name, graph=GRAPH, program=made, golden=emulate(made, made.encode(X), "all"), target="lava")
    write_net(program, tmp_path / "sound.net")
    nir.write(tmp_path / "net.nir", GRAPH)
    np.savez(tmp_path / "x.npz", input=X)
    return tmp_path


def test_equal_ones_are_equal_and_different_ones_end_in_1(snn: Cli, files: Path) -> None:
    assert snn("compare", files / "sound", files / "sound").code == 0
    found = snn("compare", files / "sound", files / "broken", "--json", "c.json")
    assert found.code == 1 and "node 'n3', dv" in found.out and "of n3 neuron" in found.out
    graph = snn("compare", files / "net.nir", files / "net.nir")
    assert graph.code == 0 and "random spikes" in graph.out
    assert snn("compare", files / "net.nir", files / "broken").code == 1


def test_a_saved_run_compares_with_its_program(snn: Cli, files: Path) -> None:
    for name in ("sound", "broken"):
        assert snn("simulate", files / name, "--input", files / "x.npz", "-o", f"{name}.npz", "--record", "all").code == 0
    assert snn("compare", "sound.npz", files / "sound", "--input", files / "x.npz").code == 0
    assert snn("compare", "sound.npz", "sound.npz").code == 0
    assert snn("compare", "sound.npz", "broken.npz").code == 1
    refused = snn("compare", "sound.npz", files / "sound.net")
    assert refused.code == 2 and "--input" in refused.err


@architecture("test-compare")
def small(*, inputs: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(inputs, 3, bias=False), Leaky(beta=0.8, init_hidden=True, reset_mechanism="zero", reset_delay=False)
    )


def test_a_checkpoint_takes_the_others_shapes(snn: Cli, files: Path) -> None:
    save_checkpoint(small(inputs=5), "m.pt")
    assert snn("export", "m.pt", "--target", "nir", "-o", "as_graph", "--sample", "input=5").code == 0
    assert snn("compare", "m.pt", "as_graph").code == 0
    assert snn("compare", "m.pt", files / "net.nir").code == 1


def test_a_float_run_is_a_recording() -> None:
    floats, program = record_floats(GRAPH, X), quantize(GRAPH, X)
    assert isinstance(floats, Recording) and floats.spikes["n1"].shape == (20, 6, 8) and floats.states["n1"]["v"].dtype == np.float64
    found = compare(floats, emulate(program, program.encode(X), "all", states=True))
    assert set(found.by_variable) == {"spikes"} and found.compared == 20 * 6 * 11


def test_every_kind_compares_with_every_other(snn: Cli, files: Path) -> None:
    save_checkpoint(model := small(inputs=5), "m.pt")
    graph = to_nir(model, torch.zeros(1, 5))
    nir.write("g.nir", graph)
    (name,) = graph.inputs
    model[0].weight.data *= 0.7  # so that the integers are of another network
    graph = to_nir(model, torch.zeros(1, 5))
    program = quantize(graph, {name: X}, max_groups=1)
    write_bundle("b", graph=graph, program=program, golden=emulate(program, program.encode({name: X}), "all"), target="lava")
    write_net(program, "n.net")
    np.savez("x.npz", **{name: X})
    assert snn("simulate", "b", "--input", "x.npz", "-o", "r.npz", "--record", "all").code == 0
    floats, integers = ("m.pt", "g.nir"), ("b", "n.net", "r.npz")
    for one in (*floats, *integers):
        for other in (*floats, *integers):
            done = snn("compare", one, other, "--input", "x.npz")
            assert done.code == ((one in floats) != (other in floats)), (one, other, done.out, done.err)
            assert ("first" in done.out) == bool(done.code), (one, other, done.out)
