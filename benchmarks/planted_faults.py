"""Does a diagnosis find what was broken: `python -m benchmarks.planted_faults [--faults 200] [--seed 0] [--json -]`.

Each case is a compiled program with one fault: a weight, a decay, an exponent, a delay, a reset, a bias, a threshold or an input's scale
that is not the compiler's, a layer with few bits, or calibration on two samples. A fault that changes no spike on the data is drawn again.
`snnfuse.diagnose` sees the program, its float graph and the data, and neither the sound program nor the fault. Right is the layer, or
the input, and the cause; of calibration the cause alone.
"""

import argparse
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np
import snntorch
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.braille import report
from snnfuse import diagnose
from snnfuse.export import quantize, to_nir
from snnfuse.hardware import Connection, GradedInput, Lif, Program, emulate
from snnfuse.hardware.errors import SnnfuseError
from snnfuse.hardware.ir.synapses import LIMITS, Sparse, granularity, sign_mode
from snnfuse.hardware.ir.synapses.sparse import with_values

STEPS, SAMPLES, CALIBRATION = 16, 24, 32
Inputs = dict[str, NDArray]


@dataclass(frozen=True, eq=False)
class Sound:
    """A network, its program, calibration data and data to diagnose on."""

    name: str
    graph: nir.NIRGraph
    calibration: Inputs
    x: Inputs
    program: Program


@dataclass(frozen=True, eq=False)
class Fault:
    """A broken program, and where and what is wrong with it; node "" for what concerns all."""

    kind: str
    node: str
    program: Program


RIGHT = {
    "weight": ("weight value",),
    "decay": ("decay value",),
    "exponent": ("weight exponent",),
    "delay": ("delay or alignment",),
    "reset": ("reset rule",),
    "bias": ("bias value", "bias placement"),
    "threshold": ("threshold value",),
    "input scale": ("input scale", "input range unused", "input range exceeded"),
    "bits": ("weight rounding",),
    "calibration": ("too few calibration samples",),
}


class Fused(nn.Module):
    """Two sensors that meet, with a memory of its own, a skip and a readout."""

    inputs = ("image", "audio")

    def __init__(self, reset: str) -> None:
        super().__init__()
        self.see, self.seen = nn.Conv2d(1, 4, 3, stride=2), snntorch.Leaky(beta=0.8, reset_mechanism=reset, init_hidden=True)
        self.flat, self.sum = nn.Flatten(), nn.Linear(36, 20)
        self.hear, self.heard = nn.Linear(12, 20), snntorch.Synaptic(alpha=0.6, beta=0.85, reset_mechanism=reset, init_hidden=True)
        self.both, self.out = snntorch.Leaky(beta=0.9, reset_mechanism=reset, init_hidden=True), nn.Linear(20, 6)
        self.vote = snntorch.Leaky(beta=0.93, reset_mechanism=reset, init_hidden=True)

    def forward(self, image: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        seen = self.sum(self.flat(self.seen(self.see(image))))
        return self.vote(self.out(self.both(seen + self.heard(self.hear(audio)))))


class Deep(nn.Module):
    """A chain of dense layers, the first on analog values or on spikes."""

    inputs = ("x",)

    def __init__(self, reset: str) -> None:
        super().__init__()
        sizes = (14, 30, 24, 18, 8)
        self.maps = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.neurons = nn.ModuleList(
            snntorch.Leaky(beta=0.75 + 0.05 * i, threshold=1.0, reset_mechanism=reset, init_hidden=True) for i in range(4)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for weights, neuron in zip(self.maps, self.neurons):
            x = neuron(weights(x))
        return x


def networks(seed: int) -> list[Sound]:
    """Programs to break, drawn by a seed."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    made = []
    for reset in ("zero", "subtract"):
        for analog in (False, True):
            made.append(_sound(f"deep, {reset}, {'analog' if analog else 'spikes'}", Deep(reset), {"x": (14,)}, {"x": analog}, rng))
        shapes = {"image": (1, 8, 8), "audio": (12,)}
        made.append(_sound(f"fused, {reset}", Fused(reset), shapes, {"image": True, "audio": False}, rng))
    return made


def _sound(name: str, model: nn.Module, shapes: dict[str, tuple[int, ...]], analog: dict[str, bool], rng: np.random.Generator) -> Sound:
    for parameter in model.parameters():
        parameter.data *= 2.5  # so that all layers of an untrained network fire
    graph = to_nir(model, tuple(torch.zeros(1, *shape) for shape in shapes.values()))
    calibration, x = ({n: _drawn(rng, (STEPS, size, *s), analog[n]) for n, s in shapes.items()} for size in (CALIBRATION, SAMPLES))
    named = dict(zip(shapes, graph.inputs, strict=True))
    calibration, x = ({named[n]: a for n, a in arrays.items()} for arrays in (calibration, x))
    return Sound(name, graph, calibration, x, quantize(graph, calibration))


def _drawn(rng: np.random.Generator, shape: tuple[int, ...], analog: bool) -> NDArray:
    return rng.normal(0.2, 0.6, shape) if analog else (rng.random(shape) < 0.35).astype(float)


# each fault: of a sound program and a generator, the broken one; None where there is nothing of the kind to break


def _weight(sound: Sound, rng: np.random.Generator) -> Fault | None:
    c = _any(rng, [c for c in sound.program.connections if c.source in sound.program.inputs or c.source in sound.program.neurons])
    values = np.array(c.synapse.values)
    mode, place = sign_mode(values), int(rng.integers(values.size))
    low, high = LIMITS[mode]
    step = granularity(mode, c.synapse.bits)
    values.ravel()[place] = step * int(rng.integers(-(-low // step), high // step + 1))
    return Fault("weight", c.target, _with(sound.program, c, _valued(c, values)))


def _valued(c: Connection, values: NDArray) -> Connection:
    weights: Any = with_values(c.synapse.weights, values) if isinstance(c.synapse, Sparse) else values
    return replace(c, synapse=replace(c.synapse, weights=weights))  # pyright: ignore[reportCallIssue]  (every kind has weights)


def _exponent(sound: Sound, rng: np.random.Generator) -> Fault:
    c = _any(rng, sound.program.connections)
    exponent = int(np.clip(c.synapse.exponent + rng.choice((-2, -1, 1, 2)), -8, 7))
    cause = "exponent" if c.source not in sound.program.constants else "bias"
    return Fault(cause, c.target, _with(sound.program, c, replace(c, synapse=replace(c.synapse, exponent=exponent))))


def _delay(sound: Sound, rng: np.random.Generator) -> Fault:
    c = _any(rng, [c for c in sound.program.connections if c.source not in sound.program.constants])
    late = int(rng.integers(1, 3))
    found = tuple(replace(d, lag=d.lag + late) if (d.source, d.target) == (c.source, c.target) else d for d in sound.program.connections)
    return Fault("delay", c.target, replace(sound.program, connections=found))


def _register(kind: str, change: Callable[[Lif, np.random.Generator], dict[str, Any] | None]) -> Callable:
    def planted(sound: Sound, rng: np.random.Generator) -> Fault | None:
        name = _any(rng, [n for n, node in sound.program.neurons.items() if isinstance(node, Lif)])
        changed = change(sound.program.neurons[name], rng)  # pyright: ignore[reportArgumentType]
        return (
            None if changed is None else Fault(kind, name, _with_node(sound.program, name, replace(sound.program.nodes[name], **changed)))
        )  # pyright: ignore[reportArgumentType, reportCallIssue]

    return planted


def _one_or_all(node: Lif, register: str, value: Callable[[NDArray], NDArray], rng: np.random.Generator) -> NDArray:
    """A register with another number in one neuron, or in all."""
    before = np.broadcast_to(getattr(node, register), node.shape).astype(np.int64)
    chosen = np.ones(before.size, bool) if rng.random() < 0.5 else np.arange(before.size) == rng.integers(before.size)
    return np.where(chosen.reshape(node.shape), value(before), before)


def _decay(node: Lif, rng: np.random.Generator) -> dict[str, Any]:
    register = "dv" if rng.random() < 0.7 else "du"
    moved = int(rng.choice((-1, 1)) * rng.integers(20, 600))
    return {register: _one_or_all(node, register, lambda d: np.clip(d + moved, 0, 4095), rng)}


def _threshold(node: Lif, rng: np.random.Generator) -> dict[str, Any]:
    factor = rng.uniform(0.6, 1.6)
    return {"vth": _one_or_all(node, "vth", lambda v: np.clip(np.rint(v * factor), 1, (1 << 17) - 1).astype(np.int64), rng)}


def _bias(node: Lif, rng: np.random.Generator) -> dict[str, Any]:
    moved = int(rng.choice((-1, 1)) * rng.integers(200, 3000))
    return {"bias_mant": _one_or_all(node, "bias_mant", lambda b: np.clip(b + moved, -4096, 4095), rng)}


def _reset(node: Lif, rng: np.random.Generator) -> dict[str, Any]:
    return {"reset": str(rng.choice([r for r in ("zero", "subtract", "subtract_delayed") if r != node.reset]))}


def _scale(sound: Sound, rng: np.random.Generator) -> Fault | None:
    graded = [n for n, node in sound.program.inputs.items() if isinstance(node, GradedInput)]
    if not graded:
        return None
    name, factor = _any(rng, graded), float(np.exp(rng.uniform(-1.5, 1.5)))
    node: Any = sound.program.nodes[name]
    return Fault("input scale", name, _with_node(sound.program, name, replace(node, scale=node.scale * factor)))


def _bits(sound: Sound, rng: np.random.Generator) -> Fault:
    name = _any(rng, [n for n, node in sound.program.neurons.items() if isinstance(node, Lif)])
    return Fault("bits", name, quantize(sound.graph, sound.calibration, weight_bits={name: int(rng.integers(1, 4))}, max_groups=1))


def _calibration(sound: Sound, rng: np.random.Generator) -> Fault:
    batch = next(iter(sound.calibration.values())).shape[1]
    chosen = rng.choice(batch, 2, replace=False)
    return Fault("calibration", "", quantize(sound.graph, {n: a[:, chosen] for n, a in sound.calibration.items()}))


FAULTS: tuple[Callable[[Sound, np.random.Generator], Fault | None], ...] = (
    _weight, _register("decay", _decay), _exponent, _delay, _register("reset", _reset), _register("bias", _bias),
    _register("threshold", _threshold), _scale, _bits, _calibration,
)  # fmt: skip


def _any(rng: np.random.Generator, of: Any) -> Any:
    return of[int(rng.integers(len(of)))]


def _with(program: Program, old: Connection, new: Connection) -> Program:
    return replace(program, connections=tuple(new if c is old else c for c in program.connections))


def _with_node(program: Program, name: str, node: Any) -> Program:
    return replace(program, nodes={**program.nodes, name: node})


def draw(sounds: list[Sound], number: int, rng: np.random.Generator) -> tuple[Sound, Fault]:
    """A fault of the kind whose turn it is, that changes at least one spike or voltage that is read."""
    while True:
        sound = _any(rng, sounds)
        try:
            fault = FAULTS[number % len(FAULTS)](sound, rng)
        except SnnfuseError:
            continue  # a register that does not take the number
        if fault is not None and _changes(sound, fault.program):
            return sound, fault


def _changes(sound: Sound, broken: Program) -> bool:
    """Whether any spike of any layer is another."""
    a, b = (emulate(p, p.encode(sound.x), "all") for p in (sound.program, broken))
    return any((a.spikes[n] != b.spikes[n]).any() for n in sound.program.neurons if n in b.spikes)


def main() -> None:
    """Plant, diagnose and count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rng, sounds = np.random.default_rng(options.seed), networks(options.seed)
    layers, causes, located, missed = Counter[str](), Counter[str](), 0, []
    for number in range(options.faults):
        sound, fault = draw(sounds, number, rng)
        found = diagnose(fault.program, sound.x, graph=sound.graph)
        has_layer = fault.kind != "calibration"
        located += has_layer
        right = not has_layer or found.layer == fault.node, found.cause in RIGHT[fault.kind]
        layers[fault.kind] += has_layer and right[0]
        causes[fault.kind] += right[1]
        if not all(right):
            missed.append({"number": number, "network": sound.name, "kind": fault.kind, "node": fault.node, "found": str(found.finding)})
            print(f"missed: {missed[-1]}", flush=True)
    print(f"right layer: {layers.total()} of {located}; right cause: {causes.total()} of {options.faults} (seed {options.seed})")
    result = {"faults": options.faults, "seed": options.seed, "layers": layers.total(), "located": located, "causes": causes.total()}
    report({**result, "causes_by_kind": dict(causes), "missed": missed}, options.json)


if __name__ == "__main__":
    main()
