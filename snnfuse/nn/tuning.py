"""A repair of few bits without labels: layers learn from the float network, and what brings the outputs no nearer is dropped.

Every layer starts from the integers that were chosen for it, on the same grids, and learns to send what the float network's does
(`imitation`): first fed with what the float network sends, then with what the integers before it really send, so that it makes up for
their errors. After each lesson the whole program runs on the calibration data, and the layer keeps what it learnt only if the outputs are
nearer than ever before. What is kept so far can be written down after each lesson, so that a later run goes on from there, with the same
result.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from itertools import product
from typing import Any, Protocol

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
from snnfuse.nn.making import SLOPE, is_trained, make_layer

UPDATES = 6  # per epoch
LESSONS = ("float", "integer")
Say = Callable[[str], None]
Parameters = Mapping[str, torch.Tensor]


class Memory(Protocol):
    """Where what was learnt outlives a kill: `done`, the number of lessons, and `layers`, the parameters of those that kept something."""

    def read(self, identity: str) -> Mapping[str, Any] | None:
        """What was written under this identity; None for nothing."""
        ...

    def write(self, identity: str, state: Mapping[str, Any]) -> None:
        """Replace it as a whole."""
        ...


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


def tune(
    judge: Judge, fits: Mapping[str, Fit], how: Tuning = Tuning(), say: Say = lambda text: None, memory: Memory | None = None
) -> dict[str, Fit]:
    """Fits whose outputs are no farther from the float network's, on the same scales, groups and grids; populations that training in
    integers does not compute, and readouts, stay as they are.

    Args:
        judge: calibration data, and what says how far outputs are.
        fits: of every population.
        how: how to train.
        say: told of each lesson.
        memory: of an earlier run with the same data, integers and settings, which is gone on with.
    """
    identity = "" if memory is None else _identity(judge, fits, how)
    found = None if memory is None else memory.read(identity)
    done, layers = (0, {}) if found is None else (int(found["done"]), dict(found["layers"]))
    kept = {name: _fit(_layer(judge, name, fit, layers[name])) if name in layers else fit for name, fit in fits.items()}
    best = judge.distance(kept)
    for lesson, name in list(product(LESSONS, _learners(judge, fits)))[done:]:
        layer = _layer(judge, name, fits[name], layers.get(name))
        _teach(judge, layer, _sent(judge, kept if lesson == "integer" else None), how)
        learnt = _fit(layer)
        after = judge.distance({**kept, name: learnt})
        say(f"{name}, fed by the {lesson} network: distance {best.total:.3f}, then {after.total:.3f}")
        if after.total < best.total:
            best, kept, layers = after, {**kept, name: learnt}, {**layers, name: layer.state_dict()}
        done += 1
        if memory is not None:
            memory.write(identity, {"done": done, "layers": layers})
    return {name: fit if fit is fits[name] else _reported(judge, name, fit) for name, fit in kept.items()}


def _identity(judge: Judge, fits: Mapping[str, Fit], how: Tuning) -> str:
    """Of what a run depends on: samples, integers and settings, in hexadecimal."""
    found = hashlib.sha256(repr(astuple(how)).encode())
    for name, events in sorted(judge.context.events.items()):
        found.update(name.encode() + np.ascontiguousarray(events).tobytes())
    for name, fit in sorted(fits.items()):
        found.update(f"{name} {fit.scale!r} {fit.rounds!r}".encode())
        for synapse in (s for groups in fit.synapses for s in groups):
            found.update(np.ascontiguousarray(synapse.values).tobytes())
    return found.hexdigest()


def _learners(judge: Judge, fits: Mapping[str, Fit]) -> Iterator[str]:
    """The populations that can learn and have something to."""
    network, run = judge.context.network, judge.context.run
    for name in network.order:
        population, into = network.populations[name], network.into(name)
        learns = is_trained(population) and not population.is_readout and not population.sends_numbers
        sources = [network.populations[p.source] for p in into if p.source in network.populations]
        fed = all(s.kind == "maximum" and is_trained(s) for s in sources if s.sends_numbers)
        if learns and fed and run.spikes[name].any() and not fits[name].faithful and any(not p.is_fixed for p in into):
            yield name


def _sent(judge: Judge, fits: Mapping[str, Fit] | None) -> dict[str, NDArray]:
    """What inputs and populations send: the float ones, or those of a program of fits."""
    context = judge.context
    if fits is None:
        numbers = {name: node.encode(name, context.run.spikes[name]) for name, node in context.payloads.items()}
        return {**context.events, **context.run.spikes, **numbers}
    program = judge.program(fits)
    return {**context.events, **emulate(program, dict(context.events), "all").spikes}


def _layer(judge: Judge, name: str, fit: Fit, learnt: Parameters | None) -> FixedPointLayer:
    """A population's layer: as it was chosen, or with what it has learnt."""
    context = judge.context
    layer = make_layer(context.network, name, fit, {**context.inputs, **context.payloads}, SLOPE, column_rounds(fit.bias))
    with torch.no_grad():
        for weights, incoming, held in zip(layer.weights, layer.incoming, fit.held or ()):
            weights.copy_(torch.from_numpy(held / incoming.unit))
    if learnt is not None:
        layer.load_state_dict(dict(learnt))
    return layer


def _teach(judge: Judge, layer: FixedPointLayer, sent: Mapping[str, NDArray], how: Tuning) -> None:
    goal = judge.context.run.spikes[layer.name]
    batch = max(1, min(how.batch_size, goal.shape[1] // UPDATES))
    lr = max(how.lr, 2 * _step(layer) / (how.epochs * max(1, goal.shape[1] // batch)))  # of a cosine half is travelled
    fit_layer(layer, {**sent, layer.name: goal}, goal, how.epochs, batch, lr, np.random.default_rng(how.seed))


def _fit(layer: FixedPointLayer) -> Fit:
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
    wanted = [effective(own, p, {**judge.context.inputs, **judge.context.payloads}).weights.values for p in own.into(name)]
    apart = sum(float(((w - h) ** 2).sum()) for w, h in zip(wanted, fit.held or wanted))
    return replace(measured_in_units(fed, fit), rounding=float(np.sqrt(apart / max(sum(float((w**2).sum()) for w in wanted), 1e-300))))
