"""The float network between NIR and integers: populations and the projections between them, in discrete time.

Per step, for the summed input I of a population, with factors derived from NIR's time constants by forward Euler:

    i' = alpha i + current_gain I          (populations with a synaptic current; otherwise i' = I)
    v' = beta v + gain i' + voltage_bias
    s  = v' > theta

followed by the reset rule of `snnfuse.hardware.ir.lif`. The current that a spike meets is the updated one, as in snnTorch.

Populations that reach each other form a loop, and every connection within one takes a step: what arrives is what its source sent one
step before. A connection outside takes none. Delays come on top.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_neurons import FloatNeuron
from snnfuse.export.lowering.graph import strong_components
from snnfuse.export.lowering.weights import Weights
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.fixed_point import DELAY_RANGE
from snnfuse.hardware.ir.graph_order import topological_order
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.ledger import Ledger
from snnfuse.hardware.shown import Summarised, Summary

Array = NDArray[np.float64]
FloatReset = Reset | Literal["none"]
LATE: tuple[FloatReset, ...] = ("subtract_delayed", "subtract_undelayed", "zero_delayed")  # resets that reach a step that nothing else does
Kind = Literal["neuron", "product", "relay", "maximum", "own"]


@dataclass(frozen=True, eq=False)
class Population:
    """Float neurons; every array has `shape`, is float64, and is dimensionless (per time step).

    Attributes:
        shape: neurons, without time and batch.
        beta: what a step leaves of the voltage, 0..1.
        gain: voltage per unit of current.
        theta: threshold, > 0; infinite for a membrane readout, which never fires.
        alpha: what a step leaves of the synaptic current, 0..1; None without such a state.
        current_gain: current per unit of input.
        bias: added to the input on every step.
        voltage_bias: added to the voltage on every step.
        reset: what a spike does to the voltage; "none" lets it stand, so that the neuron fires for as long as it is above theta.
        reset_to: where a reset to zero puts the voltage instead, below theta; None for 0.
        start: voltage before the first step; None for 0.
        taken: what a spike takes away where it subtracts; None for theta. A graph's thresholds may lie a hair above what is taken,
            so that ties do not fire.
        kind: "neuron"; or "own", which has the dynamics of `own` and of all parameters here theta and bias only; or "product", which
            sends the product of what arrives at its two ports; or "relay", which sends what arrives, plus what it sent before where it
            feeds itself, as a sum over time. These two take counts, exactly, and have no other parameter. Or "maximum", which sends the
            largest of what arrives at its ports, any number; its bias is that of each port, (ports, *shape), and all it has.
        bounds: of a product, what its factors never exceed; with (1, 1) it is an AND of spikes.
        own: dynamics outside the LIF family.
        origin: what its voltage counts from, in the graph's units; None for 0.
        ports: of a maximum; 2 of a product, and 1 of all others, without being said here.
    """

    shape: tuple[int, ...]
    beta: Array
    gain: Array
    theta: Array
    alpha: Array | None
    current_gain: Array
    bias: Array
    voltage_bias: Array
    reset: FloatReset = "zero"
    taken: Array | None = None
    reset_to: Array | None = None
    start: Array | None = None
    kind: Kind = "neuron"
    bounds: tuple[int, int] = (1, 1)
    own: FloatNeuron | None = None
    origin: Array | None = None
    ports: int = 1

    @property
    def counts(self) -> bool:
        """Whether it is a product or relay, which computes with counts, exactly."""
        return self.kind in ("product", "relay")

    @property
    def sends_numbers(self) -> bool:
        """Whether it sends numbers instead of spikes."""
        return self.kind in ("relay", "maximum") or (self.kind == "product" and self.bounds != (1, 1))

    @property
    def amount(self) -> Array:
        """What a subtracting reset takes away per spike."""
        return self.theta if self.taken is None else self.taken

    @property
    def is_readout(self) -> bool:
        """Whether it never fires."""
        return self.kind == "neuron" and bool(np.isinf(self.theta).all())

    @property
    def has_memory(self) -> bool:
        """Whether anything of one step reaches the next, so that a reset can matter; a maximum over spikes has none."""
        return bool(self.beta.any()) or self.alpha is not None or self.reset in LATE


@dataclass(frozen=True, eq=False)
class Projection:
    """Weights from an input or population to a population.

    Attributes:
        source, target: names.
        weights: what a spike of the source adds to the target's input.
        lag: steps by which the network itself delays it, 0..62, on top of the one that a connection within a loop takes.
        is_fixed: whether it spells an operation, as a maximum or a missing reset, so that training must leave it alone.
        port: of a product, which factor it is part of, 0 or 1; of a maximum, which of the numbers that are compared.
    """

    source: str
    target: str
    weights: Weights
    lag: int = 0
    is_fixed: bool = False
    port: int = 0


@dataclass(frozen=True, eq=False, repr=False)
class Network(Summarised):
    """A float network in discrete time.

    Attributes:
        inputs: shapes by name, without time and batch.
        populations: by name.
        projections: several between the same two add.
        outputs: population name by output name.
        dt: seconds per step.
        ledger: what changed on the way here.
        membranes: the outputs that read a voltage; the others read spikes.
        readings: of outputs of which the model returns one value for all steps, which: the "sum", "mean", "max" or "last" one.
        classes: of outputs of which it returns sums of equal groups of neurons in a row, how many groups.
        warnings: what a user should know of what changed, a sentence each.
    """

    inputs: Mapping[str, tuple[int, ...]]
    populations: Mapping[str, Population]
    projections: tuple[Projection, ...]
    outputs: Mapping[str, str]
    dt: float
    ledger: Ledger = ()
    membranes: frozenset[str] = frozenset()
    readings: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def read_voltages(self) -> frozenset[str]:
        """The populations whose voltage an output reads."""
        return frozenset(self.outputs[name] for name in self.membranes)

    def summary(self) -> Summary:
        """A row per population."""
        rows = [
            (n, p.kind if p.kind != "neuron" else "readout" if p.is_readout else f"neuron, reset {p.reset}", "x".join(map(str, p.shape)),
             ", ".join(dict.fromkeys(q.source for q in self.into(n))))
            for n, p in self.populations.items()
        ]  # fmt: skip
        ends = [f"input {n}: {'x'.join(map(str, shape))}" for n, shape in self.inputs.items()]
        ends += [f"output {n}: {node}" for n, node in self.outputs.items()]
        return Summary(f"Float network: {len(rows)} populations, dt {self.dt:g} s", ends, ("population", "kind", "shape", "from"), rows)

    @property
    def names(self) -> frozenset[str]:
        """The names that are taken: of inputs, populations and outputs."""
        return frozenset({*self.inputs, *self.populations, *self.outputs})

    def into(self, target: str) -> tuple[Projection, ...]:
        """The projections that end in a population."""
        return self._into.get(target, ())

    @cached_property
    def _into(self) -> dict[str, tuple[Projection, ...]]:
        found: dict[str, list[Projection]] = {}
        for projection in self.projections:
            found.setdefault(projection.target, []).append(projection)
        return {target: tuple(projections) for target, projections in found.items()}

    @cached_property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Populations that form a loop, and every other one alone; sources before targets."""
        within = [(p.source, p.target) for p in self.projections if p.source in self.populations]
        first = strong_components(self.populations, within)
        members: dict[str, list[str]] = {}
        for name in self.populations:
            members.setdefault(first[name], []).append(name)
        between = [(first[s], first[t]) for s, t in within if first[s] != first[t]]
        return tuple(tuple(members[name]) for name in topological_order(members, between))

    @cached_property
    def group_of(self) -> Mapping[str, tuple[str, ...]]:
        """The group of `groups` that each population is in."""
        return {name: group for group in self.groups for name in group}

    def late(self, projection: Projection) -> int:
        """Steps between what a source sends and its arrival: the lag, and one more within a loop."""
        return projection.lag + (projection.target in self.group_of.get(projection.source, ()))

    @cached_property
    def depth(self) -> dict[str, int]:
        """Synapses on the longest feed-forward path from an input, which is a node's latency in steps."""
        depth: dict[str, int] = dict.fromkeys(self.inputs, 0)
        for group in self.groups:
            sources = {p.source for name in group for p in self.into(name)} - {*group}
            depth |= dict.fromkeys(group, 1 + max((depth[s] for s in sources), default=0))
        return depth

    def check_timing(self) -> None:
        """UnsupportedError where a synapse would have to delay by more steps than it can, for paths that join to match or by itself."""
        for p in self.projections:
            if self.delay(p) + p.lag > DELAY_RANGE[1]:
                own = f", after a delay of {p.lag} steps" if p.lag else ""
                raise UnsupportedError(
                    f"{p.source} skips {self.delay(p)} layers to reach {p.target}{own}; "
                    f"a synapse delays by {DELAY_RANGE[1]} steps at most: pass the signal through a population on the way"
                )

    def delay(self, projection: Projection) -> int:
        """Steps by which a projection must be delayed so that all paths into its target join in time."""
        if projection.source == projection.target:
            return 0
        return self.depth[projection.target] - self.depth[projection.source] - 1

    @property
    def order(self) -> list[str]:
        """Populations, every feed-forward source before its targets."""
        return sorted(self.populations, key=self.depth.__getitem__)
