"""netx files through the command line: in as MODEL, out as target and as a part of bundles."""

import hashlib
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from cli_calls import Cli, assert_error
from netx_files import dense, neuron, write

from snnfuse.export.bundle.bundle import read_bundle
from snnfuse.export.bundle.content import write_manifest
from snnfuse.export.netx import read_net
from snnfuse.hardware.backends.reference import emulate

RNG = np.random.default_rng(0)
LAYERS = (
    dense(2 * RNG.integers(-60, 90, (8, 6)), delay=np.array([0, 3, 0, 5, 1, 0, 0, 2.0])),
    dense(2 * RNG.integers(-60, 60, (6, 8)), "dense_rec", weight_rec=2 * RNG.integers(-60, 60, (6, 6))),
    dense(2 * RNG.integers(-60, 90, (3, 6))),
)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return write(tmp_path / "net.net", *LAYERS)


@pytest.fixture
def spikes(tmp_path: Path) -> Path:
    x = RNG.integers(0, 2, (40, 5, 6)).astype(np.float32)
    np.savez(tmp_path / "x.npz", input=x, labels=np.arange(5) % 3)
    return tmp_path / "x.npz"


@pytest.mark.parametrize("target", ["loihi2", "lava", "netx"])
def test_a_net_becomes_a_bundle_of_every_target(target: str, snn: Cli, net: Path) -> None:
    done = snn("export", "-v", net, "--target", target)
    assert done.code == 0, done.err
    assert "netx itself runs this file as it is" in done.out and "ledger: empty" in done.out
    assert "golden vectors from random spikes, 0.2 per neuron and step: 4 samples of 100 steps" in done.out
    bundle = read_bundle(f"net-{target}")
    assert bundle.manifest["target"] == target and bundle.manifest["absent"].keys() == {"graph.nir"}
    assert ("resources" in bundle.manifest) == (target == "loihi2")
    events = bundle.events
    expected = emulate(read_net(net), events).spikes["output"]
    assert (bundle.golden.spikes["output"] == expected).all() and expected.any()
    again = emulate(read_net(bundle.path / "network.net"), events).spikes["output"]
    assert (again == expected).all()


@pytest.mark.usefixtures("lava")
def test_its_bundle_passes_on_every_backend(snn: Cli, net: Path) -> None:
    assert snn("export", net, "--target", "loihi2", "-o", "b").code == 0
    done = snn("verify", "b")
    assert done.code == 0 and done.out.splitlines()[-1] == "PASSED", done.out + done.err


def test_golden_vectors_come_from_samples_where_there_are_any(snn: Cli, net: Path, spikes: Path) -> None:
    assert snn("export", net, "--target", "lava", "--calib", spikes, "-o", "b").code == 0
    assert (read_bundle("b").events["input"] == np.load(spikes)["input"]).all()
    done = snn("simulate", "b", "--input", spikes, "--json", "-")
    assert done.code == 0 and "accuracy" in done.out, done.err


def test_what_netx_would_spoil_is_printed_and_reported(snn: Cli, tmp_path: Path) -> None:
    write(tmp_path / "loud.net", dense(RNG.integers(200, 300, (3, 6)), neuron=neuron(refDelay=2)))
    done = snn("export", "-v", "loud.net", "--target", "lava")
    assert done.code == 0 and "netx itself would run something else" in done.out and "1 change of meaning" in done.out
    bundle = read_bundle("loud-lava")
    changes = [entry["change"] for entry in bundle.report["netx_differences"]]
    assert changes[0].startswith("runs 18 of 18 weights as others") and changes[1] == "ignores the refractory delay of 2 steps"
    assert bundle.manifest["absent"]["network.net"].startswith("layer0: netx would change weights from 2")
    refused = snn("export", "-v", "loud.net", "--target", "netx", "-o", "n", "--quiet")
    assert_error(refused, 3, "layer0: netx would change weights", "use --target lava")
    assert not Path("n").exists()
    assert_error(snn("export", "-v", "loud.net", "--target", "lava", "-o", "n", "--strict", "--quiet"), 3, "--strict: 1 change of meaning")


def test_a_trained_graph_goes_to_netx_where_it_can(snn: Cli, graph: Path) -> None:
    x = np.random.default_rng(1).integers(0, 2, (20, 30, 4)).astype(np.float32)
    np.savez("calib.npz", input=x)
    done = snn("export", graph, "--target", "netx", "--calib", "calib.npz", "-o", "b", "--json", "-")
    content = json.loads(done.out)
    assert done.code == 0 and content["target"] == "netx"
    bundle = read_bundle("b")
    assert {"graph.nir", "network.net"} <= set(bundle.manifest["files"]) and bundle.manifest["absent"] == {}
    ours = emulate(bundle.program, bundle.events).spikes["output"]
    assert (emulate(read_net("b/network.net"), {"input": bundle.events["input"]}).spikes["output"] == ours).all() and ours.any()


@pytest.mark.parametrize(
    ("options", "code", "parts"),
    [
        (("--target", "nir"), 3, ("holds integers, of which there is no float graph",)),
        (("--target", "lava", "--reset", "zero"), 2, ("--reset has no effect on a .net file",)),
        (("--target", "lava", "--weight-bits", "4"), 2, ("--weight-bits has no effect on a .net file",)),
        (("--target", "lava", "--model", "a:b"), 2, ("--model has no effect on a .net file",)),
        (("--target", "lava", "--data", "av-digits"), 2, ("--data has no effect on a .net file",)),
        (("--target", "lava", "--sample", "7"), 2, ("layer/0/weight: takes 6 inputs, the layer before has 7",)),
        (("--target", "lava", "--calib", "analog.npz"), 2, ("takes binary spikes, 0 or 1",)),
        (("--target", "lava", "--calib", "labels.npz"), 2, ("labels hold 9",)),
    ],
)
def test_what_has_no_effect_or_does_not_fit_is_refused(options, code, parts, snn: Cli, net: Path) -> None:
    np.savez("analog.npz", input=np.full((4, 2, 6), 0.5))
    np.savez("labels.npz", input=np.zeros((4, 2, 6)), labels=np.array([0, 9]))
    assert_error(snn("export", net, *options, "-o", "b", "--quiet"), code, *parts)
    assert not Path("b").exists()


def test_a_network_that_was_swapped_is_found(snn: Cli, net: Path) -> None:
    """With its hash, which anyone can edit as well."""
    assert snn("export", net, "--target", "lava", "-o", "b").code == 0
    with h5py.File("b/network.net", "a") as file:
        file["layer/1/weight"][0, 0] += 2
    manifest = json.loads(Path("b/manifest.json").read_text())
    manifest["files"]["network.net"] = hashlib.sha256(Path("b/network.net").read_bytes()).hexdigest()
    write_manifest(Path("b"), manifest)
    done = snn("verify", "b")
    assert done.code == 1 and "network.net is 'another network', but the bundle's content says 'the program'" in done.out
    Path("b/network.net").unlink()
    del manifest["files"]["network.net"]
    write_manifest(Path("b"), manifest)
    done = snn("verify", "b")
    assert done.code == 1 and "network.net is 'neither there nor absent'" in done.out
