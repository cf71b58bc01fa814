"""What each layer changes by itself, and what it inherits: errors of a first layer show in all behind it, and are not theirs.

    alone        the integer layer, fed with what the float network sent, against the float layer fed with the same
    inherited    the float layer, fed with what the integer network sent, against the float network: nothing is rounded here
    together     the integer network against the float network, both run from end to end

They need not add up: an error may hide another. Shares are of the places at which either of two runs spikes, so that none exceeds 1.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.differences import Difference, float_alone, payloads_differ, spikes_differ, voltages_differ
from snnfuse.export.lowering.float_simulator import FloatRun
from snnfuse.export.lowering.network import Network
from snnfuse.export.quantization.agreement import rule_of
from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.ir.encoding import membrane
from snnfuse.hardware.ir.fixed_point import MESSAGE_BITS
from snnfuse.hardware.ir.maximum import Maximum
from snnfuse.hardware.ir.nodes import Connection, GradedInput, Node, SpikeInput
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.overflow.unbounded import unbounded_run

Sent = Mapping[str, NDArray]


@dataclass(frozen=True)
class LayerEffect:
    """Of one population; see the module.

    Attributes:
        node: its name.
        samples: on which `alone` and `inherited` were measured.
        together: on all samples.
    """

    node: str
    samples: int
    alone: Difference
    inherited: Difference
    together: Difference

    def __str__(self) -> str:
        return f"alone {self.alone}, inherited {self.inherited}, on {self.samples} samples"


def alone(program: Program, name: str, known: Collection[str]) -> Program:
    """A program of one population, whose sources are inputs; populations between it and what is `known`, such as relays, belong to it."""
    kept, waiting = {name}, [name]
    while waiting:
        sources = {c.source for c in program.into(waiting.pop()) if c.source in program.neurons and c.source not in known}
        waiting += sorted(sources - kept)
        kept |= sources
    into = [c for n in program.order if n in kept for c in program.into(n)]
    depth = dict.fromkeys((c.source for c in into if c.source not in kept), 0)
    for n in (n for n in program.order if n in kept):
        depth[n] = 1 + max((depth[c.source] for c in program.into(n) if c.source != n), default=0)
    nodes: dict[str, Node] = {s: _stand_in(program.nodes[s]) if s in program.neurons else program.nodes[s] for s in depth if s not in kept}
    nodes |= {n: program.nodes[n] for n in program.order if n in kept}
    timed = (c if c.is_recurrent else replace(c, delay=_delay(program, c, depth)) for c in into)
    return Program(nodes, tuple(timed), {})


def _delay(program: Program, connection: Connection, depth: Mapping[str, int]) -> int:
    """That matches paths of these depths."""
    return depth[connection.target] - depth[connection.source] - 1 if program.nodes[connection.source].is_timed else 0


def _stand_in(node: Node) -> Node:
    """An input that sends what a population does."""
    return GradedInput(node.shape, MESSAGE_BITS, 1.0) if node.sends_numbers else SpikeInput(node.shape)


def run_alone(program: Program, name: str, sent: Sent, states: bool = False) -> Recording:
    """An integer population fed with events, spikes or numbers (time, batch, *shape) by source; one without sources runs on silence."""
    part = alone(program, name, sent.keys() - {name})
    if not part.inputs:  # a Program runs on some input
        first = next(iter(sent))
        part = replace(part, nodes={**part.nodes, first: _stand_in(program.nodes[first])})
    return emulate(part, {n: np.asarray(sent[n]) for n in part.inputs}, [name], states=states)


@dataclass(frozen=True, eq=False)
class Runs:
    """Both networks on the same inputs.

    Attributes:
        network: the float network, legal and of the program's populations.
        program: the integers.
        x: float inputs (time, batch, *shape) by name.
        run: the float network's run on `x`.
        recording: the program's, of every population, with the events that it was fed.
    """

    network: Network
    program: Program
    x: Sent
    run: FloatRun
    recording: Recording

    def chosen(self, name: str, batch: NDArray) -> "Runs":
        """The same for one population, on some samples."""
        sources = {c.source for c in (*self.network.into(name), *self.program.into(name))} | {name}
        x = {n: a[:, batch] for n, a in self.x.items()}
        known = [n for n in sources if n in self.run.spikes]
        run = replace(self.run, spikes={n: self.run.spikes[n][:, batch] for n in known}, v={n: self.run.v[n][:, batch] for n in known})
        spikes = {n: self.recording.spikes[n][:, batch] for n in sources if n in self.recording.spikes}
        states = {n: {k: s[:, batch] for k, s in self.recording.states[n].items()} for n in known if n in self.recording.states}
        events = {n: a[:, batch] for n, a in self.recording.events.items()}
        return replace(self, x=x, run=run, recording=replace(self.recording, spikes=spikes, states=states, events=events))

    @property
    def decoded(self) -> dict[str, NDArray]:
        """What the encoded inputs stand for, float (time, batch, *shape) by name."""
        events = self.recording.events
        return {n: events[n] * node.scale if node.sends_numbers else events[n] for n, node in self.program.inputs.items()}

    @property
    def decoded_spikes(self) -> dict[str, NDArray]:
        """What the recording's spikes stand for: those of maxima, numbers of the float network."""
        maxima = {n: node.scale for n, node in self.program.neurons.items() if isinstance(node, Maximum)}
        return {n: s * maxima[n] if n in maxima else s for n, s in self.recording.spikes.items()}

    @property
    def encoded_spikes(self) -> dict[str, NDArray]:
        """The float run's spikes as a program takes them: those of maxima in integers."""
        return {n: node.encode(s) if isinstance(node := self.program.nodes[n], Maximum) else s for n, s in self.run.spikes.items()}

    def differ(self, name: str, voltage: tuple[NDArray, NDArray] | None, spikes: tuple[NDArray, NDArray]) -> Difference:
        """Of two runs of a population, in spikes or where it never fires in its voltage."""
        if self.network.populations[name].kind == "maximum":
            return payloads_differ(*spikes)
        if not self.network.populations[name].is_readout or voltage is None:
            return spikes_differ(*spikes)
        return voltages_differ(*voltage, rule_of(self.program, name))


def layer_effect(runs: Runs, name: str, chosen: NDArray | None = None) -> LayerEffect:
    """What one population changes; chosen: the samples on which to measure it alone and inherited, by default all."""
    part = runs if chosen is None else runs.chosen(name, chosen)
    program, silent = runs.program, runs.network.populations[name].is_readout
    fed = {**part.decoded, **part.run.spikes}
    expected = float_alone(runs.network, name, fed) if _reads_inputs(runs, name) else part.run
    integers = run_alone(program, name, {**part.recording.events, **part.encoded_spikes}, states=silent)
    inherited = float_alone(runs.network, name, {**part.decoded, **part.decoded_spikes})
    samples = next(iter(part.x.values())).shape[1]

    def differ(a: FloatRun, b: FloatRun | Recording, of: Runs = part) -> Difference:
        other = None if not silent else membrane(program, b, name) if isinstance(b, Recording) else b.v[name]
        return of.differ(name, None if other is None else (a.v[name], other), (a.spikes[name], b.spikes[name]))

    together = differ(runs.run, runs.recording, runs)
    return LayerEffect(name, samples, differ(expected, integers), differ(part.run, inherited), together)


def _reads_inputs(runs: Runs, name: str) -> bool:
    inputs = runs.program.inputs
    return any(p.source in inputs and inputs[p.source].sends_numbers for p in runs.network.into(name))


def saturation_effect(runs: Runs, name: str) -> Difference | None:
    """What wraps and clips of one population change, fed with what the program sent; None where that cannot be told.

    The recording holds the population's states.
    """
    sent: dict[str, NDArray] = {**runs.recording.events, **runs.recording.spikes}
    size = next(iter(runs.x.values())).shape[:2]
    sent |= {n: np.ones((*size, *node.shape), np.int32) for n, node in runs.program.constants.items()}
    free = unbounded_run(runs.program, name, sent)
    if free is None:
        return None
    spikes, voltage = free
    return runs.differ(name, (voltage, membrane(runs.program, runs.recording, name)), (spikes, runs.recording.spikes[name]))


def encoding_effects(runs: Runs, name: str) -> Iterator[tuple[str, Difference]]:
    """What encoding one input changes in each float layer that reads it: fed with the input itself, and with what encoding leaves."""
    for target in dict.fromkeys(p.target for p in runs.network.projections if p.source == name):
        others = {**runs.x, **runs.run.spikes}
        before, after = (float_alone(runs.network, target, {**others, name: x}) for x in (runs.x[name], runs.decoded[name]))
        yield target, runs.differ(target, (before.v[target], after.v[target]), (before.spikes[target], after.spikes[target]))
