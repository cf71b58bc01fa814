"""The arrays of lava-dl's own tests against the emulator: `python -m benchmarks.chip_tests [--json -]`.

lava-dl's wheel installs its tests, and with them networks and arrays. `test_hdf5_nx.py` demands those of PilotNet, LIF and sigma-delta, and
of tinynet of a Loihi 2 board, `==`; the others (`test_hdf5.py`, `test_blocks.py`) are demanded of Lava's fixed-point CPU models. So a
difference of 0 says that the emulator gives the numbers that Intel's tests demand of a board; no log of a board was seen.

PilotNet LIF (24 steps) is read by three rules: layer i sees the spikes of the layer before one step later; its state is cleared at steps i
and i + 17; and v of a neuron that has just spiked reads 128, its refractory delay of 1 shifted by 7 bits, where the model's v is 0.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from snnfuse.commands.console import Console, json_option
from snnfuse.export.netx import open_net
from snnfuse.hardware import (
    Connection,
    Conv2d,
    Delta,
    Dense,
    Diagonal,
    GradedInput,
    Lif,
    Output,
    Program,
    Recording,
    Sigma,
    SigmaDelta,
    SpikeInput,
    emulate,
)
from snnfuse.hardware.errors import EnvironmentProblem
from snnfuse.report.tables import table

PILOTNET = ("input", *(f"conv-{i}" for i in range(5)), *(f"fc-{i}" for i in range(3)))
PILOTNET_LAYERS = (0, 1, 2, 3, 4, 5, 7, 8, 9)  # in the file; 6 is a flatten, and the arrays of 10 are of another run
WINDOW, STEPS, MARKER = 17, 24, 1 << 7
BOARD, CPU = "a Loihi 2 board", "Lava's CPU models"


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        test: network, and what was fed.
        demanded_of: by lava-dl's tests.
        compared, differ: values: spikes, currents, voltages, sums.
    """

    test: str
    demanded_of: str
    compared: int
    differ: int


def folder() -> Path:
    """Where lava-dl's wheel has put its networks; EnvironmentProblem where Lava is not installed, or without its tests."""
    spec = importlib.util.find_spec("lava")
    places = [Path(place).parent / "tests/lava/lib/dl/netx" for place in spec.submodule_search_locations or ()] if spec else []
    found = next((place for place in places if (place / "tiny.net").exists()), None)
    if found is None:
        raise EnvironmentProblem("lava-dl's wheel with its tests is not installed here: snnfuse doctor says how to install it")
    return found


def array(name: str, time_first: bool = True) -> NDArray:
    """A stored array, axes (x, y, channel, time), as (time, channel, y, x)."""
    stored = np.load(folder() / "gts" / f"{name}.npy")
    return stored.transpose(range(stored.ndim - 1, -1, -1)) if time_first else stored


class Count:
    """Values compared so far, and how many differ."""

    def __init__(self) -> None:
        self.compared = self.differ = 0

    def add(self, ours: NDArray, theirs: NDArray) -> None:
        if ours.shape != theirs.shape:
            raise ValueError(f"{ours.shape} values cannot be compared with {theirs.shape}")
        self.compared += ours.size
        self.differ += int((ours != theirs).sum())


def _run(program: Program, x: NDArray) -> Recording:
    return emulate(program, {"input": np.ascontiguousarray(x[:, None]).astype(np.int32)}, "all", states=True)


def _held(image: NDArray, steps: int) -> NDArray:
    return np.broadcast_to(image, (steps, *image.shape))


def _add_lif(count: Count, found: Recording, node: str, name: str, steps: slice) -> None:
    """Spikes and, where they are stored, currents and voltages of a PilotNet layer in some of the recorded steps."""
    length = len(range(*steps.indices(STEPS)))
    spikes = found.spikes[node][:length, 0]
    count.add(spikes, array(f"pilotnet_lif/{name}")[steps].astype(bool))
    if name != "input":
        states = found.states[node]
        count.add(states["u"][:length, 0], array(f"pilotnet_lif/{name}-u")[steps])
        count.add(np.where(spikes, MARKER, states["v"][:length, 0]), array(f"pilotnet_lif/{name}-v")[steps])


def pilotnet_whole() -> Count:
    """Fed its image alone: every layer in both windows."""
    program, _ = open_net(folder() / "gts/pilotnet_lif/network.net", num_layers=10)
    image, count = array("pilotnet_lif/image"), Count()
    for first in (0, WINDOW):
        found = _run(program, _held(image, min(WINDOW, STEPS - first)))
        for i, (node, name) in enumerate(zip(program.neurons, PILOTNET)):
            begin = first + i
            if begin < STEPS:
                _add_lif(count, found, node, name, slice(begin, min(begin + WINDOW, STEPS)))
    return count


def pilotnet_layers() -> Count:
    """Each layer fed the recorded spikes of the layer before, on all 24 steps, those before its first window too."""
    count = Count()
    for i in range(1, len(PILOTNET)):
        k, before = PILOTNET_LAYERS[i], array(f"pilotnet_lif/{PILOTNET[i - 1]}")
        program, _ = open_net(folder() / "gts/pilotnet_lif/network.net", skip_layers=k, num_layers=k + 1)
        fed = np.concatenate([np.zeros_like(before[:1]), before[:-1]]).reshape(STEPS, *program.inputs["input"].shape)
        for begin, end in ((0, i), (i, i + WINDOW), (i + WINDOW, STEPS)):
            if begin < min(end, STEPS):
                _add_lif(count, _run(program, fed[begin:end]), f"layer{k}", PILOTNET[i], slice(begin, min(end, STEPS)))
    return count


def _tiny(name: str) -> NDArray:
    """(1, channel, y, x, time) as (time, channel, y, x), without the step before the first."""
    return np.moveaxis(array(f"tinynet/{name}", time_first=False)[0], -1, 0)[1:]


def tinynet_whole() -> Count:
    """Fed its bias."""
    program, _ = open_net(folder() / "tiny.net")
    found, count = _run(program, _held(array("tinynet/input_bias"), 15)), Count()
    for node, name in (("layer0", "input"), ("layer1", "layer1"), ("layer2", "output")):
        count.add(found.spikes[node][:, 0], _tiny(name).astype(bool))
    count.add(found.states["layer1"]["u"][:, 0] >> 6, _tiny("current"))
    return count


def tinynet_layers() -> Count:
    """Both layers, fed recorded spikes."""
    count = Count()
    for k, (fed, sent) in enumerate((("input", "layer1"), ("layer1", "output")), 1):
        program, _ = open_net(folder() / "tiny.net", skip_layers=k, num_layers=k + 1)
        found = _run(program, _tiny(fed))
        count.add(found.spikes[f"layer{k}"][:, 0], _tiny(sent).astype(bool))
        if k == 1:
            count.add(found.states["layer1"]["u"][:, 0] >> 6, _tiny("current"))
    return count


def pilotnet_sdnn() -> Count:
    """Its image at the input, and its output on nine steps."""
    program, _ = open_net(folder() / "gts/pilotnet_sdnn/network.net")
    count, expected = Count(), array("pilotnet_sdnn/output")
    count.add(_run(program, _held(array("pilotnet_sdnn/input")[0], len(expected))).spikes["output"][:, 0], expected)
    return count


def pilotnet_sdnn_spikes(network: str, suffix: str, size: int | None, layers: int) -> Count:
    """Fed what its input layer sends: sums of the first layers on twenty steps."""
    program, _ = open_net(folder() / f"gts/pilotnet_sdnn/{network}.net", skip_layers=1)
    found, count = _run(program, array("pilotnet_sdnn/act0")[:, :, :size, :size]), Count()
    for i in range(1, layers + 1):
        count.add(found.states[f"layer{i}"]["sigma"][:, 0], array(f"pilotnet_sdnn/sigma{i}{suffix}"))
    return count


def tinynet_sdnn() -> Count:
    """Its input, convolution and output blocks, each on its own; the convolution is run for one step there."""
    count, fed = Count(), array("tinynet_sdnn/input")
    steps = len(fed)
    wave = np.sin(2 * np.pi * np.arange(steps) / steps)[:, None, None, None]
    pixels = (array("tinynet_sdnn/input_bias") * wave).astype(int)
    size = fed[0].size
    count.add(_block(Delta(fed.shape[1:], 20, 6, 6), Diagonal(np.ones(size, np.int32)), pixels), fed)
    kernel = np.load(folder() / "gts/tinynet_sdnn/layer1_kernel.npy")[:, ::-1, ::-1].transpose(0, 3, 2, 1)  # Lava's true convolution
    conv = Conv2d(np.ascontiguousarray(kernel).astype(np.int32), (3, 16, 16), (2, 2))
    sent = array("tinynet_sdnn/layer1")
    bias = np.broadcast_to(np.load(folder() / "gts/tinynet_sdnn/layer1_bias.npy")[:, None, None], sent.shape[1:]).astype(np.int32)
    count.add(_block(SigmaDelta(sent.shape[1:], 20, 6, 6, bias=bias), conv, np.zeros_like(fed[:1])), sent[:1])
    flat = np.load(folder() / "gts/tinynet_sdnn/layer1.npy").reshape(-1, len(sent)).T  # in Lava's order of axes
    late = np.concatenate([np.zeros_like(flat[:1]), flat[:-1]]) != 0  # that block is told of no payload, so Lava makes them spikes
    dense = Dense(np.load(folder() / "gts/tinynet_sdnn/layer2_weight.npy").astype(np.int32))
    count.add(_block(Sigma((100,)), dense, late), array("tinynet_sdnn/layer2"))
    return count


def _block(neurons: Delta | SigmaDelta | Sigma, synapse: Conv2d | Dense | Diagonal, x: NDArray) -> NDArray:
    fed = SpikeInput(x.shape[1:]) if x.dtype == np.bool_ else GradedInput(x.shape[1:], 24, 1.0)
    nodes = {"input": fed, "block": neurons}
    program = Program(nodes, (Connection("input", "block", synapse),), {"output": Output("block", "membrane_last")})
    return _run(program, x).spikes["block"][:, 0]


def ntidigits() -> Count:
    """Its spikes through three layers with axonal delays; the output's array begins four steps before its window."""
    program, _ = open_net(folder() / "gts/ntidigits/ntidigits.net", num_layers=5)
    expected, count = array("ntidigits/output"), Count()
    found = _run(program, array("ntidigits/input").reshape(-1, 1, 1, 64))
    count.add(found.spikes["output"][:-4, 0], expected[4:].astype(bool))
    return count


def dense() -> Count:
    """One layer of LIF neurons on 2,000 steps."""
    weight = np.load(folder() / "gts/dense/weight.npy").astype(np.int32)
    nodes = {"input": SpikeInput((200,)), "block": Lif((256,), 4095, 415, 6)}
    program = Program(nodes, (Connection("input", "block", Dense(weight)),), {"output": Output("block")})
    fed, count = array("dense/in"), Count()
    late = np.concatenate([np.zeros_like(fed[:1]), fed[:-1]])
    count.add(_run(program, late).spikes["block"][:, 0], array("dense/out").astype(bool))
    return count


TESTS: dict[str, tuple[str, Callable[[], Count]]] = {
    "PilotNet LIF, from the image": (BOARD, pilotnet_whole),
    "PilotNet LIF, layer by layer": (BOARD, pilotnet_layers),
    "tinynet, from the image": (BOARD, tinynet_whole),
    "tinynet, layer by layer": (BOARD, tinynet_layers),
    "PilotNet SDNN, from the image": (BOARD, pilotnet_sdnn),
    "PilotNet SDNN, sums": (BOARD, lambda: pilotnet_sdnn_spikes("network", "", None, 2)),
    "PilotNet SDNN square, sums": (BOARD, lambda: pilotnet_sdnn_spikes("square_network", "_square", 33, 4)),
    "tinynet SDNN, block by block": (CPU, tinynet_sdnn),
    "NTIDIGITS": (CPU, ntidigits),
    "dense block": (CPU, dense),
}


def rows() -> Iterator[Row]:
    """Every comparison."""
    for name, (demanded, run) in TESTS.items():
        count = run()
        yield Row(name, demanded, count.compared, count.differ)


@click.command()
@json_option
def main(json_to: str | None, quiet: bool) -> None:
    """Compare the emulator with the arrays of lava-dl's tests."""
    console = Console(json_to, quiet)
    with console.result() as result:
        found = list(rows())
        result["rows"] = [asdict(row) for row in found]
        result["compared"], result["differ"] = sum(row.compared for row in found), sum(row.differ for row in found)
        console.say(table(("test", "demanded of", "values compared", "differ"), [tuple(asdict(row).values()) for row in found]))
        console.say(f"{result['differ']} of {result['compared']} values differ; no log of a board was seen")


if __name__ == "__main__":
    sys.exit(main())
