"""A repair of few bits without labels: layers learn from the float network, and what brings the outputs no nearer is dropped.

Every layer starts from the integers that were chosen for it, on the same grids, and learns to send what the float network's does
(`imitation`): first fed with what the float network sends, then with what the integers before it really send, so that it makes up for
their errors. After each lesson the whole program runs on the calibration data, and the layer keeps what it learnt only if the outputs are
nearer than ever before.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from snnfuse.export.quantization.fed_population import measured_in_units
from snnfuse.export.quantization.fitting import Fit, effective
from snnfuse.export.quantization.output_search import Judge
from snnfuse.hardware.backends.emulator import emulate
from snnfuse.nn.groups import column_rounds, grids, integers, unit
from snnfuse.nn.imitation import EPOCHS, fit_layer
from snnfuse.nn.layer import FixedPointLayer
from snnfuse.nn.making import SLOPE, make_layer

UPDATES = 6  # per epoch
Say = Callable[[str], None]


@dataclass(frozen=True)
class Tuning:
    """How to repair.

    Attributes:
        epochs: passes over the calibration data, per lesson.
        batch_size: samples per update at most; there are `UPDATES` of them in an epoch or more, where samples are few.
        lr: highest learning rate of Adam, relative to each tensor's rms; more where the way to the next integer is longer.
        seed: of the order of samples.
    """

    epochs: int = EPOCHS
    batch_size: int = 35
    lr: float = 0.003
    seed: int = 0


def tune(judge: Judge, fits: Mapping[str, Fit], how: Tuning = Tuning(), say: Say = lambda text: None) -> dict[str, Fit]:
    """Fits whose outputs are no farther from the float network's, on the same scales, groups and grids; populations that training in
    integers does not compute, and readouts, stay as they are.

    Args:
        judge: calibration data, and what says how far outputs are.
        fits: of every population.
        how: how to train.
        say: told of each lesson.
    """
    best, kept = judge.distance(fits), dict(fits)
    for lesson in ("float", "integer"):
        for name in _learners(judge, fits):
            sent = _sent(judge, kept if lesson == "integer" else None)
            learnt = _learnt(judge, name, kept[name], sent, how)
            found = judge.distance({**kept, name: learnt})
            say(f"{name}, fed by the {lesson} network: distance {best.total:.3f}, then {found.total:.3f}")
            if found.total < best.total:
                best, kept = found, {**kept, name: learnt}
    return {name: fit if fit is fits[name] else _reported(judge, name, fit) for name, fit in kept.items()}


def _learners(judge: Judge, fits: Mapping[str, Fit]) -> Iterator[str]:
    """The populations that can learn and have something to."""
    network, run = judge.context.network, judge.context.run
    for name in network.order:
        population, sources = network.populations[name], [network.populations.get(p.source) for p in network.into(name)]
        plain = population.kind == "neuron" and not population.is_readout and not any(s is not None and s.sends_numbers for s in sources)
        if plain and run.spikes[name].any() and not fits[name].faithful and any(not p.is_fixed for p in network.into(name)):
            yield name


def _sent(judge: Judge, fits: Mapping[str, Fit] | None) -> dict[str, NDArray]:
    """What inputs and populations send: the float ones, or those of a program of fits."""
    context = judge.context
    if fits is None:
        return {**context.events, **context.run.spikes}
    program = judge.program(fits)
    return {**context.events, **emulate(program, dict(context.events), "all").spikes}


def _learnt(judge: Judge, name: str, fit: Fit, sent: Mapping[str, NDArray], how: Tuning) -> Fit:
    context = judge.context
    layer = make_layer(context.network, name, fit, context.inputs, SLOPE, column_rounds(fit.bias))
    if fit.held is not None:
        with torch.no_grad():
            for weights, incoming, held in zip(layer.weights, layer.incoming, fit.held):
                weights.copy_(torch.from_numpy(held / incoming.unit))
    goal = context.run.spikes[name]
    batch = max(1, min(how.batch_size, goal.shape[1] // UPDATES))
    lr = max(how.lr, 2 * _step(layer) / (how.epochs * max(1, goal.shape[1] // batch)))  # of a cosine half is travelled
    fit_layer(layer, {**sent, name: goal}, goal, how.epochs, batch, lr, np.random.default_rng(how.seed))
    return replace(layer.fit(), is_trained=True, faithful=False, held=_held(layer))


def _step(layer: FixedPointLayer) -> float:
    """From one number that the groups of a projection hold to the next, over the rms of its weights; of the coarsest projection."""
    steps = [min(unit(grid) for grid in grids(incoming.rounds)) / (layer.scale * incoming.unit) for incoming in layer.incoming]
    sizes = [float(weights.detach().square().mean().sqrt()) for weights in layer.weights]
    return max((step / size for step, size in zip(steps, sizes) if size > 0), default=0.0)


@torch.no_grad()
def _held(layer: FixedPointLayer) -> tuple[NDArray[np.float64], ...]:
    """By projection, the float weights that the integers stand for, in the fit's units."""
    found = []
    for position, incoming in enumerate(layer.incoming):
        parts = integers(layer.wanted(position), incoming.rounds)
        total = sum(n * 2.0**g.exponent for n, g in zip(parts, grids(incoming.rounds)))
        found.append(np.asarray(total) / layer.scale)
    return tuple(found)


def _reported(judge: Judge, name: str, fit: Fit) -> Fit:
    """With what is wrong with it alone, and how far its weights are from the float ones."""
    fed = judge.context.fed(name)
    own = fed.counted_in(fit.units).network
    wanted = [effective(own, p, judge.context.inputs).weights.values for p in own.into(name)]
    apart = sum(float(((w - h) ** 2).sum()) for w, h in zip(wanted, fit.held or wanted))
    return replace(measured_in_units(fed, fit), rounding=float(np.sqrt(apart / max(sum(float((w**2).sum()) for w in wanted), 1e-300))))
