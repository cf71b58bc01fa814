"""lava-dl itself is the judge: what SLAYER computes, what netx runs on Lava, and what this project makes of the same file."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from netx_files import conv, dense, given, neuron, write

from benchmarks.chip_tests import folder as wheel
from snnfuse.compile.random_inputs import random_inputs
from snnfuse.export.netx import net_bytes, open_net, write_net
from snnfuse.export.netx.netx_itself import built
from snnfuse.hardware import (
    BiasedLif,
    BiasInput,
    Connection,
    Conv2d,
    Delta,
    Dense,
    Diagonal,
    GradedInput,
    Lif,
    Output,
    Program,
    Sigma,
    SigmaDelta,
    SpikeInput,
)
from snnfuse.hardware.backends.reference import emulate

HELPERS = Path(__file__).parents[1] / "helpers"
SHIPPED = {
    "tiny": ("tiny.net", 20, {}),
    "mnist": ("mnist.net", 16, {}),
    "ntidigits": ("gts/ntidigits/ntidigits.net", 200, {"num_layers": 5}),
    "square": ("gts/pilotnet_sdnn/square_network.net", 12, {}),
}
ONE_SAMPLE = ("dense_delay", "recurrent", "conv_delay", "bias_delay")  # netx does not clear what their synapses hold
pytestmark = pytest.mark.usefixtures("lava")


def script(name: str, folder: Path) -> None:
    command = [sys.executable, "-W", "ignore", str(HELPERS / name), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Networks of SLAYER, one step of training each: NAME.net as its export_hdf5 writes it; NAME.npz with its input x and its blocks'
    outputs y0, y1, ..., (time, batch, *shape)."""
    folder = tmp_path_factory.mktemp("slayer")
    script("slayer_networks.py", folder)
    return folder


def blocks(path: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    stored = np.load(path.with_suffix(".npz"))
    return stored["x"].astype(np.int32), [stored[name] > 0 for name in sorted(stored.files) if name != "x"]


@pytest.fixture(scope="module")
def netx(trained: Path, tmp_path_factory) -> Path:
    """A folder per network, with net.net, x.npy, and what netx's layers send on Lava: 0.npy, 1.npy, ...; and weights_out.npz."""
    folder = tmp_path_factory.mktemp("netx")
    np.savez(folder / "weights.npz", *matrices())
    for name in ("dense", "conv", "bias", *ONE_SAMPLE):
        place = new(folder, name, blocks(trained / f"{name}.net")[0][:, : 1 if name in ONE_SAMPLE else None])
        (place / "net.net").write_bytes((trained / f"{name}.net").read_bytes())
    for name, (layers, x) in {"spoiled": spoiled(), "odd": odd()}.items():
        write(new(folder, name, x) / "net.net", *layers)
    program, x = chain()
    write_net(program, new(folder, "chain", x) / "net.net")
    jobs = {**shipped(), "denoiser": denoiser(trained)}
    for name, (content, x, options) in {**jobs, "images": written(pictures()), "sums": written(sums())}.items():
        place = new(folder, name, x)
        (place / "net.net").write_bytes(content)
        (place / "job.json").write_text(json.dumps({"states": True, **options}))
    script("netx_run.py", folder)
    return folder


def shipped() -> dict[str, tuple[bytes, np.ndarray, dict]]:
    """Networks of lava-dl's wheel, with inputs and netx's arguments."""
    found = {}
    for name, (file, steps, options) in SHIPPED.items():
        program, _ = open_net(wheel() / file, **options)
        x = program.encode(random_inputs(program.inputs, steps).inputs)["input"][:, :1]
        found[name] = (wheel() / file).read_bytes(), x, options
    return found


def denoiser(trained: Path) -> tuple[bytes, np.ndarray, dict]:
    """A sigma-delta network of dense layers with delays."""
    program, _ = open_net(trained / "denoiser.net")
    x = np.cumsum(np.random.default_rng(9).normal(0, 0.3, (90, 1, 9)), 0)
    return (trained / "denoiser.net").read_bytes(), program.encode(x)["input"], {}


def written(given: tuple[Program, np.ndarray]) -> tuple[bytes, np.ndarray, dict]:
    return net_bytes(given[0]), given[1], {}


def pictures() -> tuple[Program, np.ndarray]:
    """An image in biases, a convolution with a bias per channel, and neurons of which each has its own threshold."""
    rng = np.random.default_rng(7)
    image, bias = (2, 5, 4), np.repeat(np.array([64, -128], np.int32), 9).reshape(2, 3, 3)
    conv = Conv2d(2 * rng.integers(-9, 14, (2, 2, 3, 2), dtype=np.int32), image)
    nodes = {
        "img": BiasInput(image, 1 / 40, 30),
        "e": BiasedLif(image, 4095, 300, 25, bias_exp=6),
        "c": Lif((2, 3, 3), 2000, 100, 20, bias, 1),
        "d": Lif((4,), 900, 100, rng.integers(5, 30, 4).astype(np.int32)),
    }
    links = (
        Connection("img", "e", Diagonal(np.ones(40, np.int32)), port=1),
        Connection("e", "c", conv),
        Connection("c", "d", Dense(2 * rng.integers(-9, 14, (4, 18), dtype=np.int32))),
    )
    program = Program(nodes, links, {"out": Output("d")})
    return program, program.encode(np.repeat(rng.uniform(-1, 1, (1, 1, *image)), 40, 0))["img"]


def sums() -> tuple[Program, np.ndarray]:
    """Sigma-delta neurons with thresholds, biases and delays, a convolution and dense layers."""
    rng = np.random.default_rng(8)
    image, together = (2, 5, 4), {"delay": -1, "lag": 1}
    conv = Conv2d(2 * rng.integers(-9, 9, (3, 2, 2, 2), dtype=np.int32), image)
    nodes = {
        "img": GradedInput(image, 16, 1 / 64),
        "e": Delta(image, 2, 6, 6),
        "c": SigmaDelta((3, 4, 3), 9, 6, 6, bias=rng.integers(-40, 40, (3, 4, 3)).astype(np.int32)),
        "d": SigmaDelta((5,), 3, 6, 6),
        "o": Sigma((2,)),
    }
    links = (
        Connection("img", "e", Diagonal(np.ones(40, np.int32))),
        Connection("e", "c", conv, **together),
        Connection("c", "d", Dense(2 * rng.integers(-9, 9, (5, 36), dtype=np.int32)), delay=-1, lag=4),
        Connection("d", "o", Dense(2 * rng.integers(-99, 99, (2, 5), dtype=np.int32)), **together),
    )
    x = rng.uniform(-1, 1, (40, 1, *image)) * (np.arange(40) % 3 > 0)[:, None, None, None, None]
    program = Program(nodes, links, {"out": Output("o", "membrane_last")})
    return program, program.encode(x)["img"]


def new(folder: Path, name: str, x: np.ndarray) -> Path:
    (folder / name).mkdir()
    np.save(folder / name / "x.npy", x)
    return folder / name


def sent(place: Path) -> list[np.ndarray]:
    return [np.load(file) for file in sorted(place.glob("[0-9].npy"))]


def mismatches(program: Program, place: Path) -> list[int]:
    """Per layer, after a look that none is idle."""
    run = emulate(program, {"input": np.load(place / "x.npy")}, "all")
    ours = [run.spikes[name] for name in program.neurons if not name.endswith(".delay")]
    assert all(0.01 < spikes.mean() < 0.99 for spikes in ours) and len(ours) == len(sent(place))
    return [int((theirs.reshape(spikes.shape) != spikes).sum()) for theirs, spikes in zip(sent(place), ours)]


@pytest.mark.parametrize("name", ["dense", "dense_delay", "conv", "conv_delay", "recurrent", "recurrent_delay"])
def test_the_import_is_what_slayer_trained(name: str, trained: Path) -> None:
    """The last layer, 120 steps. SLAYER shifts each block's output by one step, and more for its delay."""
    x, expected = blocks(trained / f"{name}.net")
    program, _ = open_net(trained / f"{name}.net")
    last = emulate(program, {"input": x}).spikes["output"]
    steps = len(expected)
    assert (last[:-steps] != expected[-1][steps:]).sum() == 0
    assert not program.ledger and 0.05 < last.mean() < 0.95


@pytest.mark.parametrize("name", ["bias", "bias_delay"])
def test_a_bias_is_slayers_in_the_first_layer(name: str, trained: Path) -> None:
    """Behind it SLAYER lets biases charge before the first input arrives; windows do not."""
    x, expected = blocks(trained / f"{name}.net")
    program, _ = open_net(trained / f"{name}.net")
    spikes = emulate(program, {"input": x}, ["layer0"]).spikes["layer0"]
    for i, steps in enumerate(np.broadcast_to(delay_of(trained / f"{name}.net"), spikes.shape[2])):
        assert (spikes[: len(x) - 1 - steps, :, i] == expected[0][1 + steps :, :, i]).all()
    assert 0.05 < spikes.mean() < 0.95 and np.any(program.nodes["layer0"].bias_mant)


def delay_of(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return file["layer/0/delay"][()].astype(int) if "layer/0/delay" in file else np.zeros(1, int)


@pytest.mark.parametrize("name", ["dense", "dense_delay", "conv", "recurrent", "bias", "odd"])
def test_the_import_is_what_netx_runs(name: str, netx: Path) -> None:
    """Every layer, where nothing is reported."""
    program, differences = open_net(netx / name / "net.net")
    assert not differences and set(mismatches(program, netx / name)) == {0}


@pytest.mark.parametrize("name", ["conv_delay", "bias_delay"])
def test_where_a_difference_is_reported_netx_differs(name: str, netx: Path) -> None:
    program, differences = open_net(netx / name / "net.net")
    assert differences and any(mismatches(program, netx / name))


def test_delays_beyond_the_chips_are_cut_as_netx_cuts_them(netx: Path) -> None:
    program, differences = open_net(netx / "denoiser/net.net")
    assert [entry.change for entry in program.ledger] == ["1 delays of up to 64 steps cut to 62"] * 2 and not differences
    assert max(c.lag for c in program.connections) == 63


@pytest.mark.parametrize("name", ["tiny", "mnist", "ntidigits", "square", "images", "sums", "denoiser"])
def test_messages_and_states_are_those_of_netx(name: str, netx: Path) -> None:
    """Every value of every layer, but the current of MNIST's last layer: netx never lets it fade, and makes it the voltage, which is
    that of a readout."""
    options = {key: value for key, value in json.loads((netx / name / "job.json").read_text()).items() if key != "states"}
    program, _ = open_net(netx / name / "net.net", **options)
    found, compared = emulate(program, {"input": np.load(netx / name / "x.npy")}, "all", states=True), 0
    for i, (node, neurons) in enumerate(program.neurons.items()):
        values = {"": found.spikes[node]} | {f"_{state}": found.states[node][state] for state in neurons.states}
        if (name, node) == ("mnist", "layer3"):
            del values["_u"]
        for suffix, ours in values.items():
            theirs = np.load(netx / name / f"{i}{suffix}.npy").reshape(ours.shape)
            assert (ours != theirs).sum() == 0, (node, suffix)
            compared += ours.size
        assert found.spikes[node].any() or (name, node) == ("mnist", "layer3")
    assert compared > 2000


@pytest.mark.slow
@pytest.mark.parametrize("file", ["pilotnet_lif", "pilotnet_sdnn"])
def test_pilotnet_is_that_of_netx(file: str, tmp_path: Path) -> None:
    """16 steps of every layer, messages and states."""
    program, _ = open_net(wheel() / f"gts/{file}/network.net")
    x = program.encode(random_inputs(program.inputs, 16).inputs)["input"][:, :1]
    place = new(tmp_path, "one", x)
    (place / "net.net").write_bytes((wheel() / f"gts/{file}/network.net").read_bytes())
    (place / "job.json").write_text('{"states": true}')
    np.savez(tmp_path / "weights.npz", np.eye(2))
    script("netx_run.py", tmp_path)
    found = emulate(program, {"input": x}, "all", states=True)
    for i, (node, neurons) in enumerate(program.neurons.items()):
        for suffix, ours in {"": found.spikes[node], **{f"_{state}": found.states[node][state] for state in neurons.states}}.items():
            assert (np.load(place / f"{i}{suffix}.npy").reshape(ours.shape) != ours).sum() == 0, (node, suffix)


def matrices() -> Iterator[np.ndarray]:
    """Weights of all signs and sizes, the ones that netx spoils among them."""
    rng = np.random.default_rng(0)
    for limit in (1, 2, 3, 7, 64, 100, 127, 128, 129, 200, 254, 255, 256, 257, 300, 511):
        for low, high in ((-limit, limit), (0, limit), (-limit, 0), (-limit, -1), (1, limit)):
            for step in (1, 2, 4, 64):
                values = rng.integers(low, high + 1, (3, 5)) * step
                if values.any():
                    yield values
                yield np.full((2, 2), low * step or 1)


def test_netx_weights_are_foretold(netx: Path) -> None:
    """`built` against netx's own optimize_weight_bits and Lava's clip and truncation, as its Dense applies them."""
    real = np.load(netx / "weights_out.npz")
    spoiled = 0
    for i, values in enumerate(matrices()):
        ours = built(values)
        assert (ours.weights == real[f"arr_{i}"]).all() and [ours.bits, ours.exponent] == real[f"arr_{i}_how"].tolist(), values
        spoiled += bool((ours.effective != values).any())
    assert 100 < spoiled < 500


def spoiled() -> tuple[tuple, np.ndarray]:
    """Excitatory weights beyond 255, inhibitory powers of two, and a refractory delay."""
    rng = np.random.default_rng(3)
    loud, quiet = rng.integers(100, 300, (6, 8)), np.full((4, 6), -256)
    layers = (dense(loud, neuron=neuron(vThMant=2000)), dense(quiet, bias=np.full(4, 300.0), neuron=neuron(vThMant=40, refDelay=2)))
    return layers, (rng.random((100, 2, 8)) < 0.4).astype(np.int32)


def test_values_that_netx_spoils_are_kept_here_and_reported(netx: Path) -> None:
    program, differences = open_net(netx / "spoiled" / "net.net")
    changes = [entry.change for entry in differences]
    assert len(changes) == 3
    assert changes[0].startswith("runs 48 of 48 weights as others") and changes[0].endswith(" as 0")
    assert changes[1] == "runs 24 of 24 weights as others, for example -256 as 0"
    assert changes[2] == "ignores the refractory delay of 2 steps"
    assert not sent(netx / "spoiled")[0].any()
    first, second = program.connections[0].synapse, [c.synapse for c in program.connections if c.target == "layer1"]
    assert emulate(program, {"input": np.load(netx / "spoiled" / "x.npy")}, ["layer0"]).spikes["layer0"].any()
    assert first.exponent == 1 and (sum(s.weights * 2**s.exponent for s in second) == -256).all()


def odd() -> tuple[tuple, np.ndarray]:
    """Small odd weights, which travel as doubled ones with a negative exponent on either side."""
    rng = np.random.default_rng(6)
    first = conv(rng.integers(-9, 12, (3, 1, 2, 2)), (3, 4, 4))
    layers = (given((1, 5, 5)), first, {"type": "flatten", "shape": np.array([48, 1, 1])}, dense(rng.integers(-7, 9, (5, 48))))
    return layers, (rng.random((100, 2, 1, 5, 5)) < 0.7).astype(np.int32)


def chain() -> tuple[Program, np.ndarray]:
    """Every kind of layer that a file can say: several groups, registers per neuron, a bias per channel, delays per synapse."""
    rng = np.random.default_rng(5)

    def even(*shape: int, most: int = 60) -> np.ndarray:
        return 2 * rng.integers(-most, most, shape, dtype=np.int32)

    first = Conv2d(even(4, 1, 3, 2), (2, 7, 6), (2, 1), (1, 0), (1, 2), 2)
    again = Conv2d(abs(even(4, 1, 3, 2, most=3)), (2, 7, 6), (2, 1), (1, 0), (1, 2), 2, exponent=2)
    shape, size = first.output_shape, int(np.prod(first.output_shape))
    bias = np.broadcast_to(np.array([64, 0, 128, -64], np.int32)[:, None, None], shape)
    nodes = {
        "input": SpikeInput((2, 7, 6)),
        "a": Lif(shape, rng.integers(500, 3000, shape, dtype=np.int32), 100, 60, np.ascontiguousarray(bias), 1),
        "b": Lif((9,), -1, rng.integers(100, 900, 9, dtype=np.int32), 600),
        "c": Lif((7,), 4095, 300, 90),
        "d": Lif((2, 3), 2000, 300, rng.integers(20, 90, (2, 3), dtype=np.int32)),
    }
    links = (
        Connection("input", "a", first),
        Connection("input", "a", again),
        Connection("a", "b", Dense(even(9, size, most=30)), delay=3),
        Connection("b", "c", Dense(even(7, 9))),
        Connection("c", "c", Dense(even(7, 7))),
        Connection("c", "d", Dense(np.tril(even(6, 7, most=90) | 2))),
        Connection("c", "d", Dense(np.triu(even(6, 7, most=90) | 2, 1)), lag=4),
    )
    return Program(nodes, links, {"output": Output("d")}), (rng.random((110, 1, 2, 7, 6)) < 0.4).astype(np.int32)


def test_what_is_written_is_what_netx_runs(netx: Path) -> None:
    assert mismatches(chain()[0], netx / "chain") == [0, 0, 0, 0]
