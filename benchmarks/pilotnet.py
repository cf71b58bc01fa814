"""Cores of PilotNet and YOLO-KP on Loihi 2: the placement's prediction beside what Intel's compiler printed for the published runs.

    python -m benchmarks.pilotnet --json -

The layers are those that lava-dl's notebooks print (tutorials/lava/lib/dl/netx: pilotnet_snn/benchmark.ipynb, 74 cores;
pilotnet_sdnn/benchmark.ipynb, 61 cores, whose input layer runs on the host; oxford/run.ipynb, 5 cores; yolo_kp/run_eth.ipynb, 574 cores
on several chips). The split rule was read off PilotNet's logs; YOLO-KP is a check that it passed unchanged. Weights are random: the number
of cores does not depend on them while none is 0.
"""

import sys
from dataclasses import dataclass

import click
import numpy as np

from snnfuse.commands.console import Console, json_option
from snnfuse.hardware import Connection, Conv2d, Dense, GradedInput, Lif, Output, Program
from snnfuse.hardware.chip import count, find_board
from snnfuse.hardware.ir.synapses import Synapse
from snnfuse.report.tables import table

IMAGE = (3, 66, 200)
CONVOLUTIONS = ((24, (2, 2), (0, 0)), (36, (2, 2), (0, 0)), (48, (2, 2), (0, 0)), (64, (2, 1), (1, 0)), (64, (1, 1), (0, 0)))
DENSE = (100, 50, 10, 1)
YOLO_KP = ((16, 3, 2), (32, 3, 2), (64, 3, 2), (128, 3, 2), (256, 3, 1), (256, 3, 2), (512, 3, 1), (256, 1, 1), (512, 3, 1), (48, 1, 1))
"""Channels, kernel, stride."""
MEASURED = {
    "pilotnet-snn": (13, 25, 13, 3, 3, 2, 12, 1, 1, 1),
    "pilotnet-sdnn": (25, 13, 3, 3, 2, 12, 1, 1, 1),
    "yolo-kp": (224, 112, 56, 28, 56, 16, 32, 14, 32, 4),
    "oxford": (3, 2),
}
"""Cores per layer, in the order of the network."""


@dataclass
class Chain:
    """A program of one layer after the other."""

    rng: np.random.Generator
    nodes: dict
    links: list

    def add(self, name: str, synapse: Synapse, shape: tuple[int, ...]) -> None:
        source = list(self.nodes)[-1]
        self.nodes[name] = Lif(shape, du=4095, dv=400, vth=1000)
        self.links.append(Connection(source, name, synapse))

    def weights(self, *shape: int) -> np.ndarray:
        """8-bit mixed weights, none of them 0."""
        return 2 * self.rng.integers(1, 100, shape, np.int32) * self.rng.choice(np.array([-1, 1], np.int32), shape)

    def program(self) -> Program:
        return Program(self.nodes, tuple(self.links), {"output": Output(list(self.nodes)[-1], "membrane_last")})


def pilotnet(input_on_chip: bool = True, seed: int = 0) -> Program:
    """PilotNet for images of 200 x 66; its input layer turns pixels into spikes."""
    net = Chain(np.random.default_rng(seed), {"image": GradedInput(IMAGE, 8, 1 / 128)}, [])
    if input_on_chip:
        net.add("input", Conv2d(np.full((3, 1, 1, 1), 64, np.int32), IMAGE, groups=3), IMAGE)
    shape = IMAGE
    for i, (channels, stride, padding) in enumerate(CONVOLUTIONS):
        conv = Conv2d(net.weights(channels, shape[0], 3, 3), shape, stride, padding)
        net.add(f"conv{i + 1}", conv, shape := conv.output_shape)
    size = int(np.prod(shape))
    for i, neurons in enumerate(DENSE):
        net.add(f"dense{i + 1}", Dense(net.weights(neurons, size)), (size := neurons,))
    return net.program()


def oxford(seed: int = 0) -> Program:
    """Two dense layers, 200 - 256 - 200."""
    net = Chain(np.random.default_rng(seed), {"spikes": GradedInput((200,), 8, 1.0)}, [])
    net.add("hidden", Dense(net.weights(256, 200)), (256,))
    net.add("output_layer", Dense(net.weights(200, 256)), (200,))
    return net.program()


def yolo_kp(seed: int = 0) -> Program:
    """The fully convolutional YOLO-KP for images of 448 x 448, its input layer on the host."""
    image = (3, 448, 448)
    net, shape = Chain(np.random.default_rng(seed), {"image": GradedInput(image, 16, 1 / 128)}, []), image
    for i, (channels, kernel, stride) in enumerate(YOLO_KP):
        conv = Conv2d(net.weights(channels, shape[0], kernel, kernel), shape, (stride,) * 2, (kernel // 2,) * 2)
        net.add(f"conv{i + 1}", conv, shape := conv.output_shape)
    return net.program()


PROGRAMS = {
    "pilotnet-snn": pilotnet,
    "pilotnet-sdnn": lambda: pilotnet(input_on_chip=False),
    "yolo-kp": yolo_kp,
    "oxford": oxford,
}


def compare_cores(name: str) -> dict:
    """Predicted and measured cores, per layer."""
    program, board, measured = PROGRAMS[name](), find_board("kapoho-point"), MEASURED[name]
    lava, tight = count(program, board), count(program, board, rule="tight")
    rows = [{"layer": a.name, "predicted": a.cores, "measured": m, "tight": t.cores, "least": a.least}
            for a, t, m in zip(lava.layers, tight.layers, measured)]  # fmt: skip
    total = sum(measured)
    return {"network": name, "predicted": lava.cores, "measured": total, "error": lava.cores / total - 1, "tight": tight.cores,
            "least": tight.least, "layers": rows}  # fmt: skip


@click.command()
@json_option
def main(json_to: str | None, quiet: bool) -> None:
    """Predicted beside published cores."""
    console = Console(json_to, quiet)
    with console.result() as result:
        result["networks"] = [compare_cores(name) for name in PROGRAMS]
        for found in result["networks"]:
            rows = [tuple(row.values()) for row in found["layers"]]
            console.say(table(("layer", "predicted", "published", "tight", "at least"), rows))
            console.say(
                f"{found['network']}: {found['predicted']} cores predicted, {found['measured']} published ({found['error']:+.0%}); "
                f"{found['tight']} with tight splits, at least {found['least']}\n"
            )


if __name__ == "__main__":
    sys.exit(main())
