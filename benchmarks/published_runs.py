"""Published runs of Loihi 2 that can be rebuilt from public description: the networks, and what was measured. Per step, so that runs of
millions of steps are counted on a few.

What a description leaves open is said in `assumed`. Spikes are random at the stated rates, but for the two neurons, which are run, and
for PilotNet, whose spikes are those of lava-dl's own test of that network on a real image (it comes with the wheel of lava-dl 0.6).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.pilotnet import pilotnet
from snnfuse.hardware import Connection, Dense, Lif, Output, Program, ResonateAndFire, Sparse, SpikeInput, emulate
from snnfuse.hardware.chip import Board, count, find_board
from snnfuse.hardware.energy import Activity, measure
from snnfuse.hardware.errors import EnvironmentProblem
from snnfuse.hardware.ir.nodes import Node
from snnfuse.hardware.ir.recording import Recording

FREE, HOST = "free-running", "fed by the host"


@dataclass(frozen=True, eq=False)
class Run:
    """A published run.

    Attributes:
        name, family: which row, and which rows are of the same publication.
        network: rows of the same name are of one network, and share one weight in a fit.
        regime: free-running, or fed by the host.
        activity: counts of the rebuilt network.
        step_us: microseconds per step, published.
        steps: per inference; 1 where no inference is defined.
        cores: published; None where they are not.
        total_w, dynamic_w, static_w: watts, published; None where they are not.
        source: where the figures stand.
        assumed: what the description leaves open.
    """

    name: str
    family: str
    network: str
    regime: str
    activity: Callable[[], Activity]
    step_us: float
    source: str
    steps: int = 1
    cores: int | None = None
    total_w: float | None = None
    dynamic_w: float | None = None
    static_w: float | None = None
    assumed: str = ""


def at_rates(program: Program, rates: Mapping[str, float], board: Board, steps: int = 100, seed: int = 0) -> Activity:
    """Return the counts of a program whose nodes fire at random, each at its rate per neuron and step."""
    rng = np.random.default_rng(seed)

    def fired(name: str, node: Node) -> NDArray[np.bool_]:
        return rng.random((steps, 1, *node.shape)) < rates[name]

    spikes = {name: fired(name, node) for name, node in program.neurons.items()}
    events = {name: fired(name, node).astype(np.int32) for name, node in program.inputs.items()}
    return measure(program, [Recording(spikes, events=events)], count(program, board))


def _dense(targets: int, sources: int) -> Dense:
    rng = np.random.default_rng(targets + sources)
    return Dense(2 * rng.integers(1, 100, (targets, sources), np.int32))


@cache
def pair(bias: int, lag: int = 0) -> Activity:
    """Two LIF neurons, one with a bias that makes it fire, as the publication's script sets them."""
    nodes = {"source": Lif((1,), du=4095, dv=410, vth=64, bias_mant=bias), "target": Lif((1,), du=4095, dv=4095, vth=64)}
    link = Connection("source", "target", Dense(np.full((1, 1), 128, np.int32)), lag=lag)
    program = Program({"none": SpikeInput((1,)), **nodes}, (Connection("none", "source", Dense(np.full((1, 1), 2, np.int32))), link),
                      {"y": Output("target")})  # fmt: skip
    events = {"none": np.zeros((2000, 1, 1), np.int32)}
    return measure(program, [emulate(program, events, "all")], count(program, find_board("oheo-gulch")))


@cache
def winner_take_all(neurons: int, microcode: bool) -> Activity:
    """Excitatory and inhibitory neurons, all to all, and a generator outside the cores for each of the former.

    A Program has no loop of two populations, so that what inhibition sends back comes from an input of the same size: the cores of the
    excitatory neurons hold the same synapses and do the same work.
    """
    excitatory, inhibitory = neurons * 4 // 5, neurons // 5

    def made(n: int) -> Node:
        return ResonateAndFire((n,), 0, 4096, 1000) if microcode else Lif((n,), du=4095, dv=400, vth=1000)

    nodes = {"inhibition": SpikeInput((inhibitory,)), "excitatory": made(excitatory), "inhibitory": made(inhibitory)}
    nodes |= {"generators": SpikeInput((excitatory,))}
    sizes = {name: node.shape[0] for name, node in nodes.items()}
    pairs = [("excitatory", "excitatory"), ("inhibition", "excitatory"), ("excitatory", "inhibitory"), ("inhibitory", "inhibitory")]
    links = [Connection(a, b, _dense(sizes[b], sizes[a])) for a, b in pairs]
    links.append(Connection("generators", "excitatory", Sparse(sparse.identity(excitatory, np.int32, "csr") * 2)))
    program = Program(nodes, tuple(links), {"y": Output("inhibitory")})
    return at_rates(program, dict.fromkeys(nodes, 0.01), find_board("oheo-gulch"))


@cache
def spoken_digits(hidden: int, recurrent: bool) -> Activity:
    """700 inputs, one recurrent or two feed-forward layers, 20 readouts."""
    nodes: dict[str, Node] = {"cochlea": SpikeInput((700,)), "hidden": Lif((hidden,), du=600, dv=200, vth=1000)}
    links = [Connection("cochlea", "hidden", _dense(hidden, 700))]
    last = "hidden"
    if recurrent:
        links.append(Connection("hidden", "hidden", _dense(hidden, hidden)))
    else:
        last = "second"
        nodes[last] = Lif((hidden,), du=600, dv=200, vth=1000)
        links.append(Connection("hidden", "second", _dense(hidden, hidden)))
    nodes["readout"] = Lif((20,), du=600, dv=200, vth=1 << 17)
    links.append(Connection(last, "readout", _dense(20, hidden)))
    program = Program(nodes, tuple(links), {"y": Output("readout", "membrane_sum")})
    rates = {"cochlea": 8000 / 700 / 1000, "hidden": 0.014, "second": 0.014, "readout": 0.0}
    return at_rates(program, rates, find_board("kapoho-point"))


LAYERS = {"input": "input"} | {f"conv-{i}": f"conv{i + 1}" for i in range(5)} | {f"fc-{i}": f"dense{i + 1}" for i in range(3)}
PERIOD = slice(4, 20)  # 16 steps after the pipeline has filled; the recording has 24


@cache
def pilotnet_snn(board: str) -> Activity:
    """PilotNet with the spikes of lava-dl's own test of it, an image held for 16 steps."""
    program, folder = pilotnet(), lava_dl_tests() / "gts" / "pilotnet_lif"
    spikes = {}
    for file, name in LAYERS.items():
        axes = np.load(folder / f"{file}.npy")  # (x, y, channel, time), or (neuron, time)
        spikes[name] = axes.transpose(range(axes.ndim)[::-1])[PERIOD, None]
    last = program.nodes["dense4"]
    spikes["dense4"] = np.zeros((16, 1, *last.shape), bool)  # its recording is of another run; it has one neuron
    events = {"image": np.repeat(np.ones((1, 1, *program.nodes["image"].shape), np.int32), 16, 0)}
    return measure(program, [Recording(spikes, events=events)], count(program, find_board(board)))


def lava_dl_tests() -> Path:
    """Return the folder of lava-dl's own tests, which its wheel installs beside it."""
    spec = find_spec("lava.lib.dl.netx")
    folders = [Path(place).parents[3] / "tests/lava/lib/dl/netx" for place in (spec.submodule_search_locations or ())] if spec else []
    found = next((folder for folder in folders if folder.is_dir()), None)
    if found is None:
        raise EnvironmentProblem("the spikes of PilotNet come with lava-dl 0.6: pip install lava-dl")
    return found


@cache
def pilotnet_sdnn() -> Activity:
    """PilotNet with its input layer on the host: one step per frame, 39,600 values."""
    program = pilotnet(input_on_chip=False)
    return at_rates(program, dict.fromkeys(program.nodes, 0.1), find_board("oheo-gulch"), steps=2)


def runs() -> Iterator[Run]:
    """Yield every row, free-running ones first."""
    yield from _pairs()
    yield from _winners()
    yield from _digits()
    yield from _pilotnets()


PAIR = "NECOTIS/TemporalLearningInRSNNs, loihi_experiment/res.json: means of 100 runs of 10**7 steps"
PAIRS = (("25 Hz", 417, 11.6374, 0.23755, 0.02295, 0.21460), ("50 Hz", 470, 11.6392, 0.23981, 0.02721, 0.21260),
         ("100 Hz", 640, 11.6434, 0.24223, 0.02797, 0.21426))  # fmt: skip
DELAYED = ("100 Hz, delay 10", 640, 11.6390, 0.25046, 0.03679, 0.21368)


def _pairs() -> Iterator[Run]:
    for name, bias, seconds, total, dynamic, static in (*PAIRS, DELAYED):
        lag = 10 if "delay" in name else 0
        yield Run(f"two LIF, {name}", "pair", "pair", FREE, lambda bias=bias, lag=lag: pair(bias, lag), seconds * 0.1, PAIR,
                  total_w=total, dynamic_w=dynamic, static_w=static)  # fmt: skip


WTA = "OzU-CAST/LoihiScalingEfficiency: latency and power figures"
SPLIT = "four fifths excitatory; 0.01 spikes per neuron and step"


def _winners() -> Iterator[Run]:
    for neurons in (200, 400, 600, 800, 1000, 1200):
        power, cores = {200: (0.47, 5), 1200: (0.63, 69)}.get(neurons, (None, None))
        us = 1.75 + 0.03 * (neurons - 200) / 1000
        yield Run(f"winner-take-all, {neurons} LIF", "winner-take-all", "winner-take-all, LIF", FREE,
                  lambda n=neurons: winner_take_all(n, False), us, WTA, cores=cores, total_w=power,
                  assumed=f"{SPLIT}; the published curve is flat from 1.75 to 1.78 us, taken for a line")  # fmt: skip
    for neurons, us, power, cores in ((200, 7.45, 0.50, 5), (1200, 2.44, 0.755, 60)):
        yield Run(f"winner-take-all, {neurons} Izhikevich", "winner-take-all", "winner-take-all, Izhikevich", FREE,
                  lambda n=neurons: winner_take_all(n, True), us, WTA, cores=cores, total_w=power,
                  assumed=SPLIT + ("; between 2.2 and 2.7 us published" if neurons == 1200 else ""))  # fmt: skip


SHD = "arXiv 2510.13757: latency and energy per sample"
SAMPLE = "1,000 steps a sample; which hidden size the figures are of; a chip of a larger board; 8,000 input spikes, 14 Hz"


def _digits() -> Iterator[Run]:
    for recurrent, us, total, dynamic in ((False, 1.46, 0.46, 0.28), (True, 1.515, 0.36, 0.21)):
        for hidden in (256, 512, 1024):
            name = "recurrent" if recurrent else "feed-forward"
            yield Run(f"SHD, {name}, {hidden}", "SHD", f"SHD, {name}", FREE, lambda h=hidden, r=recurrent: spoken_digits(h, r), us, SHD,
                      steps=1000, total_w=total / us, dynamic_w=dynamic / us, static_w=(total - dynamic) / us, assumed=SAMPLE)  # fmt: skip


LAVA_DL = "lava-dl, netx/pilotnet_{}/benchmark.ipynb"
ONE_FRAME = 'one frame, written before the run "to avoid IO bottleneck"'


def _pilotnets() -> Iterator[Run]:
    snn = LAVA_DL.format("snn")
    yield Run("PilotNet SNN, Oheo Gulch", "PilotNet", "PilotNet SNN", FREE, lambda: pilotnet_snn("oheo-gulch"), 1e6 / 408.91 / 16, snn,
              steps=16, cores=74, total_w=0.679, dynamic_w=0.447, static_w=0.232, assumed=ONE_FRAME)  # fmt: skip
    yield Run("PilotNet SNN, Kapoho Point", "PilotNet", "PilotNet SNN", FREE, lambda: pilotnet_snn("kapoho-point"), 1e6 / 342.29 / 16,
              f"{snn}, an earlier version", steps=16, cores=74, assumed=ONE_FRAME)  # fmt: skip
    sdnn = LAVA_DL.format("sdnn")
    yield Run("PilotNet SDNN, 16.87 frames/s", "PilotNet", "PilotNet SDNN", HOST, pilotnet_sdnn, 1e6 / 16.87, sdnn, cores=61,
              total_w=0.2756, static_w=0.282, assumed="every value of a frame counts, though changes are sent only")  # fmt: skip
    yield Run("PilotNet SDNN, 11.18 frames/s", "PilotNet", "PilotNet SDNN", HOST, pilotnet_sdnn, 1e6 / 11.18,
              f"{sdnn}, an earlier version", cores=61, assumed="the same")  # fmt: skip


NOT_REBUILT = {
    "CLP-SNN, continual learning, 0.33 ms, 0.05 mJ (arXiv 2511.01553)": "steps per inference are not known here",
    "event detector, 6 to 16 ms, 8 steps, fed by the host (arXiv 2605.00146)": "values moved per step are not known here",
    "peg-in-hole force control, 1.5 ms, 53 uJ dynamic (arXiv 2403.08928)": "steps per inference are not known here",
    "YOLO-KP, 574 cores": "no time or energy of it stands in a public text",
}
"""Published runs of which too little is known to rebuild them, and what is missing."""
