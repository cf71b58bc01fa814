"""The float network between NIR and integers: populations and the projections between them, in discrete time.

Per step, for the summed input I of a population, with factors derived from NIR's time constants by forward Euler:

    i' = alpha i + current_gain I          (populations with a synaptic current; otherwise i' = I)
    v' = beta v + gain i' + voltage_bias
    s  = v' > theta

followed by the reset rule of `snnfuse.hardware.lif`. The current that a spike meets is the updated one, as in snnTorch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.weights import Weights
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.fixed_point import DELAY_RANGE
from snnfuse.hardware.ledger import Ledger
from snnfuse.hardware.lif import Reset

Array = NDArray[np.float64]


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
        reset: what a spike does to the voltage.
        taken: what a spike takes away where it subtracts; None for theta. A graph's thresholds may lie a hair above what is taken,
            so that ties do not fire.
    """

    shape: tuple[int, ...]
    beta: Array
    gain: Array
    theta: Array
    alpha: Array | None
    current_gain: Array
    bias: Array
    voltage_bias: Array
    reset: Reset = "zero"
    taken: Array | None = None

    @property
    def amount(self) -> Array:
        """What a subtracting reset takes away per spike."""
        return self.theta if self.taken is None else self.taken

    @property
    def is_readout(self) -> bool:
        """Whether it never fires."""
        return bool(np.isinf(self.theta).all())

    @property
    def has_memory(self) -> bool:
        """Whether anything of one step reaches the next, so that a reset can matter; a maximum over spikes has none."""
        return bool(self.beta.any()) or self.alpha is not None or self.reset == "subtract_delayed"


@dataclass(frozen=True, eq=False)
class Projection:
    """Weights from an input or population to a population."""

    source: str
    target: str
    weights: Weights


@dataclass(frozen=True, eq=False)
class Network:
    """A float network in discrete time.

    Attributes:
        inputs: shapes by name, without time and batch.
        populations: by name.
        projections: several between the same two add; one from a population to itself takes one step.
        outputs: population name by output name.
        dt: seconds per step.
        ledger: what changed on the way here.
    """

    inputs: Mapping[str, tuple[int, ...]]
    populations: Mapping[str, Population]
    projections: tuple[Projection, ...]
    outputs: Mapping[str, str]
    dt: float
    ledger: Ledger = ()

    def into(self, target: str) -> tuple[Projection, ...]:
        """The projections that end in a population."""
        return tuple(p for p in self.projections if p.target == target)

    @cached_property
    def depth(self) -> dict[str, int]:
        """Synapses on the longest feed-forward path from an input, which is a node's latency in steps.

        Raises:
            UnsupportedError: a loop is longer than one synapse, or paths that join differ by more steps than a delay holds.
        """
        depth: dict[str, int] = dict.fromkeys(self.inputs, 0)
        waiting = {name: {p.source for p in self.into(name)} - {name} for name in self.populations}
        while waiting:
            ready = [name for name, sources in waiting.items() if sources <= depth.keys()]
            if not ready:
                raise UnsupportedError(
                    f"feedback through {', '.join(sorted(waiting))} takes more than one synapse and cannot be matched in time; "
                    "feed a population back onto itself instead"
                )
            depth |= {name: 1 + max((depth[s] for s in waiting.pop(name)), default=0) for name in ready}
        self._check_delays(depth)
        return depth

    def _check_delays(self, depth: Mapping[str, int]) -> None:
        for p in self.projections:
            if p.source != p.target and depth[p.target] - depth[p.source] - 1 > DELAY_RANGE[1]:
                raise UnsupportedError(
                    f"{p.source} skips {depth[p.target] - depth[p.source] - 1} layers to reach {p.target}; "
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
