"""How much the overflow proof decides: `python -m benchmarks.overflow [--networks N] [--json -]`.

Random small networks (one to three populations, all resets, leaks from none to full, thresholds over the whole register, biases,
binary and graded inputs, feedback) are proved with a search for witnesses. Every witness is run again in the reference, and must
overflow; every proof of safety is put to random inputs, and must hold.
"""

import argparse
from collections import Counter
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks.braille import report
from snnfuse.hardware import Connection, Dense, GradedInput, Lif, Output, Program, SpikeInput
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.overflow import Verdict, prove
from snnfuse.hardware.overflow.raw_states import excess

RUNS, STEPS = 16, 80  # random inputs that proofs are put to


def random_network(rng: np.random.Generator) -> Program:
    """A chain of populations of 1 to 8 neurons behind one input "in"."""
    sizes = rng.integers(1, 9, rng.integers(2, 5)).tolist()
    graded = rng.random() < 0.2
    nodes: dict = {"in": GradedInput((sizes[0],), int(rng.integers(2, 13)), 1.0) if graded else SpikeInput((sizes[0],))}
    connections = []
    for i, (before, size) in enumerate(zip(sizes, sizes[1:])):
        source, name = f"l{i - 1}" if i else "in", f"l{i}"
        nodes[name] = _neurons(rng, size)
        connections.append(Connection(source, name, Dense(_weights(rng, size, before), int(rng.integers(-2, 8)))))
        if rng.random() < 0.25:
            connections.append(Connection(name, name, Dense(_weights(rng, size, size), int(rng.integers(-2, 5)))))
    return Program(nodes, tuple(connections), {"out": Output(name)})


def _weights(rng: np.random.Generator, targets: int, sources: int) -> NDArray[np.int32]:
    """Even, which is legal whatever signs a group holds; now and then of one sign."""
    weights = 2 * rng.integers(-127, 128, (targets, sources))
    return (np.abs(weights) if rng.random() < 0.2 else weights).astype(np.int32)


def _neurons(rng: np.random.Generator, size: int) -> Lif:
    return Lif(
        shape=(size,),
        du=int(rng.choice([4095, rng.integers(0, 4096), rng.integers(0, 400)])),
        dv=int(rng.choice([0, rng.integers(0, 4096), rng.integers(0, 400)])),
        vth=int(rng.choice([rng.integers(1, 2000), rng.integers(1, 1 << 17), 1 << 17], p=[0.45, 0.45, 0.1])),
        bias_mant=int(rng.choice([0, rng.integers(-4096, 4096)])),
        bias_exp=int(rng.integers(0, 8)),
        reset=str(rng.choice(get_args(Reset), p=[0.5, *[0.1] * 5])),
    )


def random_events(program: Program, rng: np.random.Generator) -> dict[str, NDArray[np.int32]]:
    """(STEPS, RUNS, inputs), some inputs silent for a whole run."""
    node = program.inputs["in"]
    low, high = (-node.limit, node.limit) if isinstance(node, GradedInput) else (0, 1)
    drawn = rng.integers(low, high + 1, (STEPS, RUNS, *node.shape)) * (rng.random((1, RUNS, *node.shape)) < 0.8)
    return {"in": drawn.astype(np.int32)}


def contradictions(program: Program, verdicts: tuple[Verdict, ...], rng: np.random.Generator) -> list[str]:
    """Proofs that a random run breaks, and witnesses that do not overflow in the reference."""
    run = emulate(program, random_events(program, rng), "all", states=True)
    wrong = []
    for verdict in verdicts:
        if verdict.status == "impossible":
            neurons = range(int(np.prod(program.nodes[verdict.node].shape)))
            broken = any((excess(program, run, verdict.node, n, verdict.event) > 0).any() for n in neurons)
        elif verdict.witness:
            shown = emulate(program, verdict.witness.events, "all", states=True)
            broken = not (excess(program, shown, verdict.node, verdict.neuron, verdict.event)[verdict.witness.time] > 0).all()
        else:
            broken = False
        wrong += [str(verdict)] if broken else []
    return wrong


def measure(networks: int, seed: int = 0) -> dict:
    """All figures of this page."""
    verdicts_by, of_networks, wrong = Counter(), Counter(), []
    for i in range(networks):
        rng = np.random.default_rng((seed, i))
        program = random_network(rng)
        verdicts = prove(program, seed=i)
        wrong += contradictions(program, verdicts, rng)
        verdicts_by.update(v.status for v in verdicts)
        of_networks["open"] += any(v.status == "undecided" for v in verdicts)
        of_networks["open, where it matters"] += any(v.status == "undecided" and not v.harmless for v in verdicts)
    total = sum(verdicts_by.values())
    return {
        "networks": networks,
        "verdicts": dict(verdicts_by),
        "undecided": 100 * verdicts_by["undecided"] / total,
        "networks with any undecided": 100 * of_networks["open"] / networks,
        "networks with an undecided event that is not harmless": 100 * of_networks["open, where it matters"] / networks,
        "contradicted": len(wrong),
        "contradictions": wrong,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    report(measure(options.networks, options.seed), options.json)


if __name__ == "__main__":
    main()
