"""How long placement takes, and how far its cores are from a lower bound.

    python -m benchmarks.placement --json -

Three networks with random weights, their convolutions never written out: one of 100,000 neurons, ResNet18, and S-CMRL's layers at the
size for CREMA-D (2.5 M neurons, several chips), whose head counts over tokens in relays, because no core
takes in 32,768 sources. A stand-in for attention there
scatters 64 random sources to each neuron, the costliest pattern there is for a core; `without scattered` leaves those layers out of the
comparison with the lower bound.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click
import numpy as np

from benchmarks.scale_programs import Builder, neurons, resnet18, s_cmrl
from snnfuse.commands.console import Console, json_option
from snnfuse.hardware import Connection, Conv2d, Dense, Output, Program, Relay, Sparse
from snnfuse.hardware.chip import Demands, Resources, count, find_board
from snnfuse.hardware.chip.chips import assign
from snnfuse.report.tables import table


def hundred_thousand(seed: int = 0) -> Program:
    """Two convolutions and three dense layers, 100,000 neurons."""
    net = Builder(np.random.default_rng(seed))
    last = net.lif("conv1", {(image := net.input("image", (3, 64, 64))): net.conv(image, 16)})
    last = net.lif("conv2", {last: net.conv(last, 28, stride=2)})
    last = net.lif("conv3", {last: net.conv(last, 16, stride=2)})
    for i, size in enumerate((1000, 1000, 1584, 10)):
        last = net.lif(f"dense{i + 1}", {last: net.dense(last, size)}, (size,))
    return net.program({"class": Output(last)})


def pooled_s_cmrl(seed: int = 0) -> Program:
    """S-CMRL whose mean over tokens is a relay per channel, which counts its spikes, before the classifier's matrix."""
    program, rng = s_cmrl(seed), np.random.default_rng(seed)
    nodes, links = dict(program.nodes), [c for c in program.connections if c.target != "classes"]
    for source in (c.source for c in program.into("classes")):
        channels, height, width = nodes[source].shape
        tokens = Conv2d(np.ones((channels, 1, height, width), np.int32), (channels, height, width), groups=channels)
        nodes[f"{source}.mean"] = Relay((channels, 1, 1))
        weights = 2 * rng.integers(-32, 33, (6, channels), np.int32)
        links += [Connection(source, f"{source}.mean", tokens), Connection(f"{source}.mean", "classes", Dense(weights))]
    return replace(program, nodes=nodes, connections=tuple(links))


NETWORKS: dict[str, tuple[Callable[[], Program], str]] = {
    "100,000 neurons": (hundred_thousand, "oheo-gulch"),
    "ResNet18": (resnet18, "kapoho-point"),
    "S-CMRL": (pooled_s_cmrl, "hala-point"),
}


def measure(name: str, rule: Any) -> dict[str, Any]:
    """Seconds to count cores and to put them on chips, and what came of it."""
    make, board = NETWORKS[name]
    program = make()
    start = time.perf_counter()
    resources = count(program, find_board(board), rule=rule, demands=Demands(program))
    counted = time.perf_counter()
    assignment = assign(program, resources)
    done = time.perf_counter()
    kept = [a for a in resources.layers if not _is_scattered(program, a.name)]
    return {
        "network": name,
        "neurons": neurons(program),
        "rule": rule,
        "cores": resources.cores,
        "least": resources.least,
        "over": resources.cores / resources.least - 1,
        "over_without_scattered": sum(a.cores for a in kept) / sum(a.least for a in kept) - 1,
        "chips": assignment.chips,
        "between_chips": assignment.between_chips / assignment.between_cores,
        "between_chips_consecutive": assignment.consecutive / assignment.between_cores,
        "count_seconds": counted - start,
        "assign_seconds": done - counted,
        "layers": _rows(resources),
    }


def _is_scattered(program: Program, name: str) -> bool:
    return any(isinstance(c.synapse, Sparse) for c in program.into(name))


def _rows(resources: Resources) -> list[dict[str, Any]]:
    return [{"layer": a.name, "cores": a.cores, "least": a.least, "bound_by": a.bound_by} for a in resources.layers]


HEAD = ("network", "neurons", "rule", "cores", "at least", "over", "without scattered", "chips", "between chips", "consecutive", "count s",
        "chips s")  # fmt: skip


@click.command()
@click.option("--network", type=click.Choice(tuple(NETWORKS)), multiple=True, help="Only these.")
@json_option
def main(network: tuple[str, ...], json_to: str | None, quiet: bool) -> None:
    """Time placement."""
    console = Console(json_to, quiet)
    with console.result() as result:
        result["networks"] = [measure(name, rule) for name in network or NETWORKS for rule in ("lava", "tight")]
        rows = [_cells(found) for found in result["networks"]]
        console.say(table(HEAD, rows))


def _cells(found: dict[str, Any]) -> tuple[object, ...]:
    shares = (f"{found[key]:.1%}" for key in ("over", "over_without_scattered"))
    crossing = (f"{found[key]:.1%}" for key in ("between_chips", "between_chips_consecutive"))
    seconds = (f"{found[key]:.2f}" for key in ("count_seconds", "assign_seconds"))
    first = (found[key] for key in ("network", "neurons", "rule", "cores", "least"))
    return (*first, *shares, found["chips"], *crossing, *seconds)


if __name__ == "__main__":
    sys.exit(main())
