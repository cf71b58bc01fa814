"""Networks of published size on Loihi 2: `python -m benchmarks.systems [--only NAME ...] [--keep DIR] [--docs docs] [--json -]`.

Builds FD-fusion (full), with L2 folded, with one synapse group per weight, and with L2 in microcode, and S-CMRL in four sizes, whole:
what each takes of cores, chips and tiers, and what an inference costs, modelled. **Untrained**: weights are as initialised, and the batch
norms hold statistics of a few batches, so that spikes flow. Inputs are random numbers of the data's kind and range: images and pictures
of sound that are the same on every step, features of sound that are not, events with a probability of 0.1. Each network is traced,
quantized to 8 bits with the same inputs for calibration, placed, and run on the emulator, whose spikes the energy rests on. Cores depend
on weights where these round to zero or want a second synapse group; energy depends on how often neurons fire, so the rate is printed
beside it.

Each network has a process of its own, whose peak of resident memory is that of the whole way. --keep DIR keeps what was measured, and
goes on from it; --docs DIR writes the tables of DIR/systems.md.
"""

import json
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.systems_page import cells, write_page
from snnfuse import networks
from snnfuse.commands.console import Console, json_option
from snnfuse.export import quantize, to_nir
from snnfuse.export.quantization.settings import QuantizationSettings
from snnfuse.export.staging.cutting import cut
from snnfuse.export.staging.l2_on_chip import join
from snnfuse.export.staging.staged import quantize_staged
from snnfuse.hardware import Program, emulate
from snnfuse.hardware.chip import BOARDS, Board, Demands, Resources, check_chip, count, tier
from snnfuse.hardware.chip.chips import assign
from snnfuse.hardware.chip.traffic import spike_rates
from snnfuse.hardware.energy import Activity, free_running, loihi1, measure
from snnfuse.hardware.errors import DoesNotFitError
from snnfuse.hardware.ir.json_fields import read_json
from snnfuse.hardware.ir.recording import Recording
from snnfuse.report.tables import table

T = TypeVar("T")
Inputs = dict[str, NDArray[np.float32]]
SAMPLES, BATCHES, SEED = 4, 3, 0  # samples of a batch, of calibration and of the energy; batches that set the norms' statistics
EVENT, SPREAD = 0.1, 1 / 3  # probability of an event; deviation of sound, as `snnfuse.data` normalises it
LARGEST = BOARDS["hala-point"]


@dataclass(frozen=True)
class System:
    """A network to build.

    Attributes:
        title: for people.
        architecture, preset: as of `snnfuse.networks.preset_config`.
        time: steps per inference.
        config: fields that differ from the preset's.
        l2: "fold" or "microcode", as of `snnfuse-export --l2`.
        max_groups: as of `snnfuse.export.quantize`.
        events: whether inputs are events, not numbers.
    """

    title: str
    architecture: str
    preset: str
    time: int
    config: Mapping[str, Any] = field(default_factory=dict)
    l2: str = "fold"
    max_groups: int = 2
    events: bool = False

    def build(self) -> nn.Module:
        return networks.build(self.architecture, networks.preset_config(self.architecture, self.preset) | dict(self.config))


CIFAR10_AV = {"image": (3, 32, 32), "audio": 240}
SYSTEMS = {
    "fd-fusion": System("FD-fusion full", "fd-fusion", "full", 12, CIFAR10_AV),
    "fd-fusion-one-group": System("FD-fusion full, one group per weight", "fd-fusion", "full", 12, CIFAR10_AV, max_groups=1),
    "fd-fusion-l2": System("FD-fusion full, L2 in microcode", "fd-fusion", "full", 12, CIFAR10_AV, l2="microcode"),
    "mnist-fsdd": System("S-CMRL, mnist-fsdd", "s-cmrl", "mnist-fsdd", 4),
    "mnistdvs-ntidigits": System("S-CMRL, MNISTDVS-NTIDIGITS", "s-cmrl", "mnistdvs-ntidigits", 16, events=True),
    "urbansound8k-av": System("S-CMRL, UrbanSound8K-AV", "s-cmrl", "urbansound8k-av", 4),
    "crema-d": System("S-CMRL, CREMA-D", "s-cmrl", "crema-d", 4),
}


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Of one time step of one sample, by input."""
    given = {name: getattr(model.config, name) for name in model.inputs}
    return {name: (shape,) if isinstance(shape, int) else tuple(shape) for name, shape in given.items()}


def inputs(system: System, model: nn.Module, samples: int, rng: np.random.Generator) -> Inputs:
    """Random inputs (time, samples, *shape) of the data's kind and range."""
    found = {}
    for name, shape in shapes(model).items():
        still = len(shape) == 3 and not system.events  # a picture, shown on every step
        size = (1 if still else system.time, samples, *shape)
        if system.events:
            values = (rng.random(size) < EVENT).astype(float)
        else:
            values = rng.random(size) if name == "image" else np.clip(rng.normal(0, SPREAD, size), -1, 1)
        found[name] = np.broadcast_to(values.astype(np.float32), (system.time, *size[1:])).copy()
    return found


def settle(model: nn.Module, batches: Iterator[Inputs]) -> nn.Module:
    """The model for evaluation, its batch norms with the mean statistics of the batches, its L2 layers with the last one's norm."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # a plain mean over batches
        elif isinstance(module, networks.L2Normalise):
            module.momentum = 1.0
    with torch.no_grad():
        for batch in batches:
            networks.run_folded(model.train(), *map(torch.from_numpy, batch.values()))
    return model.eval()


def timed(seconds: dict[str, float], what: str, compute: Callable[[], T]) -> T:
    """What a function computes; its seconds go into the dictionary."""
    start = time.perf_counter()
    found = compute()
    seconds[what] = round(time.perf_counter() - start, 1)
    return found


def compiled(system: System, model: nn.Module, x: Inputs, seconds: dict[str, float]) -> Program:
    """The whole network as one program of 8 bits."""
    step = tuple(torch.from_numpy(values[0, :1]) for values in x.values())
    graph = timed(seconds, "tracing", lambda: to_nir(model, step))
    if system.l2 == "microcode":
        settings = QuantizationSettings(max_groups=system.max_groups)
        return timed(seconds, "quantizing", lambda: join(quantize_staged(cut(graph), x, settings).pipeline))
    return timed(seconds, "quantizing", lambda: quantize(graph, x, max_groups=system.max_groups))


def describe(program: Program, x: Inputs, seconds: dict[str, float]) -> dict[str, Any]:
    """Everything that the tables say of a program, on calibration inputs."""
    demands = Demands(program)
    resources = timed(seconds, "placing", lambda: count(program, LARGEST, demands=demands))
    tight = timed(seconds, "placing, tight", lambda: count(program, LARGEST, rule="tight", demands=demands))
    events = program.encode(x)
    recording = timed(seconds, "running", lambda: emulate(program, events, "all"))
    activity = timed(seconds, "modelling", lambda: measure(program, [recording], resources))
    return {
        **sizes(program, resources),
        "cores": resources.cores,
        "cores_tight": tight.cores,
        "least_cores": resources.least,
        "chips": resources.chips,
        "chips_tight": tight.chips,
        "board": board_for(resources).name,
        "limits": limits(resources),
        "delays": delays(program, resources, demands),
        "refused": timed(seconds, "asking a smaller board", lambda: refusal(program, resources)),
        **activity_of(program, recording, activity),
        **traffic(program, resources, recording, seconds),
        "models": [model_of(activity, make) for make in (loihi1, free_running)],
    }


def sizes(program: Program, resources: Resources) -> dict[str, Any]:
    """Neurons by tier, what host and chips exchange, and synapses."""
    tiers = {name: 0 for name in "AB"}
    for layer in resources.layers:
        tiers[layer.tier] += layer.neurons
    return {
        "neurons": sum(tiers.values()),
        "tiers": tiers,
        "host_sends": sum(int(np.prod(node.shape)) for node in program.inputs.values()),
        "host_reads": sum(int(np.prod(program.nodes[out.node].shape)) for out in program.outputs.values()),
        "weights": sum(layer.synapses for layer in resources.layers),
        "synapse_bytes": sum(layer.memory for layer in resources.layers),
        "kinds_b": sorted({type(node).__name__ for node in program.neurons.values() if tier(node) == "B"}),
        "latency": max(program.latency[out.node] for out in program.outputs.values()),
    }


def board_for(resources: Resources) -> Board:
    """The named board with fewest chips that has as many cores; the largest where none has."""
    return next((board for board in BOARDS.values() if board.cores >= resources.cores), LARGEST)


def limits(resources: Resources) -> dict[str, dict[str, Any]]:
    """By the limit that decides a layer's cores: the cores of all such layers, and the layer with most, the first of several."""
    found: dict[str, dict[str, Any]] = {}
    for layer in resources.layers:
        row = found.setdefault(layer.bound_by, {"cores": 0, "layer": "", "layer_cores": 0, "layer_neurons": 0})
        row["cores"] += layer.cores
        if layer.cores > row["layer_cores"]:
            row |= {"layer": layer.name, "layer_cores": layer.cores, "layer_neurons": layer.neurons}
    return found


def delays(program: Program, resources: Resources, demands: Demands) -> dict[str, int]:
    """The longest wait of a connection, in steps, and the cores that it would take if waiting took no room."""
    longest = max((c.delay + c.lag for c in program.connections), default=0)
    free = replace(LARGEST, overrides={"delay_slots": 2**31})
    return {"longest": longest, "cores_without": count(program, free, rule=resources.rule, demands=demands).cores}


def refusal(program: Program, resources: Resources) -> str | None:
    """What the next smaller board says; None where the smallest holds it."""
    boards = list(BOARDS.values())
    place = boards.index(board_for(resources))
    if not place:
        return None
    try:
        check_chip(program, boards[place - 1])
    except DoesNotFitError as error:
        return f"{boards[place - 1].name}: {error}"
    raise AssertionError(f"{boards[place - 1].name} holds it after all")


def activity_of(program: Program, recording: Recording, activity: Activity) -> dict[str, Any]:
    """How much fired, and what that made the cores do, per inference."""
    read = {out.node for out in program.outputs.values()}
    return {
        "steps": activity.steps,
        "samples": activity.samples,
        "rate": sum(layer.spikes for layer in activity.populations) / activity.updates,
        "silent": [layer.name for layer in activity.populations if not layer.spikes and layer.name not in read],
        "operations": activity.operations,
        "updates": activity.updates,
    }


def traffic(program: Program, resources: Resources, recording: Recording, seconds: dict[str, float]) -> dict[str, Any]:
    """Messages per step between cores, and the share of them that crosses chips."""
    rates = spike_rates(program, recording)
    found = timed(seconds, "assigning to chips", lambda: assign(program, resources, rates))
    return {"messages_per_step": found.between_cores, "between_chips": found.between_chips / found.between_cores}


def model_of(activity: Activity, make: Callable[[Activity], Any]) -> dict[str, Any]:
    """One model's ranges: microjoules and microseconds, low and high."""
    found = make(activity)
    kept = {name: getattr(found, name) for name in ("dynamic_uj", "total_uj", "time_us", "latency_us")}
    return {"model": found.model} | {name: None if value is None else list(value) for name, value in kept.items()}


def run_one(system: System, samples: int = SAMPLES) -> dict[str, Any]:
    """Build, compile, place and model a network in this process."""
    torch.manual_seed(SEED)
    rng, seconds = np.random.default_rng(SEED), {}
    model = system.build()
    batches = [inputs(system, model, samples, rng) for _ in range(BATCHES)]
    timed(seconds, "setting norms", lambda: settle(model, iter(batches)))
    program = compiled(system, model, batches[-1], seconds)
    found = describe(program, batches[-1], seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    return {"title": system.title, "parameters": parameters(model), **found, "seconds": seconds, "peak_bytes": peak}


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def run_child(name: str, keep: Path | None = None) -> dict[str, Any]:
    """One network, measured by a process of its own, or kept from before."""
    kept = None if keep is None else keep / f"{name}.json"
    if kept is not None and kept.exists():
        return read_json(kept)
    done = subprocess.run([sys.executable, "-m", "benchmarks.systems", "--one", name], stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found, indent=2) + "\n")
    return found


@click.command()
@click.option("--only", type=click.Choice(tuple(SYSTEMS)), multiple=True, help="Only these.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep what was measured in DIR, and go on from it.")
@click.option("--docs", type=click.Path(path_type=Path), help="Write the tables of DIR/systems.md; with all networks.")
@click.option("--one", type=click.Choice(tuple(SYSTEMS)), hidden=True)
@json_option
def main(only: tuple[str, ...], keep: Path | None, docs: Path | None, one: str | None, json_to: str | None, quiet: bool) -> None:
    """What networks of published size take of a chip."""
    if one:
        warnings.simplefilter("ignore")  # of random weights; what matters of them is in the tables
        click.echo(json.dumps(run_one(SYSTEMS[one])))
        return
    if docs and only:
        raise click.UsageError("--docs needs all networks: leave --only out")
    console = Console(json_to, quiet)
    with console.result() as result:
        result["networks"] = {}
        for name in only or SYSTEMS:
            found = result["networks"][name] = run_child(name, keep)
            console.say(f"{name}: {sum(found['seconds'].values()):.0f} s, {found['peak_bytes'] / 1e9:.1f} GB")
            for head, row in cells(found):
                console.say(table(head, [row]))
        if docs:
            write_page(docs, result["networks"])


if __name__ == "__main__":
    main()
