"""The busiest core and link of a placement, the step time that follows, and a placement that balances cores.

Of mean rates: `step_time` has the same model, step by step. To balance, the layer of the busiest core is divided into more parts while
cores of its board are free and the step becomes shorter; the barrier ends it at the latest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.chip.layers import Demands
from snnfuse.hardware.chip.mesh import LinkLoad
from snnfuse.hardware.chip.resources import Resources, divided
from snnfuse.hardware.chip.traffic import Rates, link_load
from snnfuse.hardware.energy.constants import values
from snnfuse.hardware.energy.loads import CoreLoads
from snnfuse.hardware.ir.program import Program

NS_PER_US = 1e3
GROWTH = 4  # a layer is divided into a quarter more parts at a time, one at least


@dataclass(frozen=True)
class StepLoad:
    """What decides how long a step takes where neurons fire at some rates.

    Attributes:
        us: microseconds of a step, modelled.
        decided_by: the busiest core, a link, or the barrier.
        core: number of the busiest core, layer after layer.
        layer: that it belongs to.
        core_us: microseconds that the busiest core needs.
        operations, words_read, neurons: of that core, per step.
        link: the busiest links.
        link_us: microseconds that they need.
    """

    us: float
    decided_by: str
    core: int
    layer: str
    core_us: float
    operations: float
    words_read: float
    neurons: int
    link: LinkLoad
    link_us: float

    def to_json(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "link"}
        return found | {"link": dict(vars(self.link))}

    def describe(self) -> str:
        """In two sentences."""
        return (
            f"busiest core: {self.core}, of layer {self.layer}: {self.neurons} neurons, {self.operations:.4g} operations and "
            f"{self.words_read:.4g} words read per step, {self.core_us:.3g} us; busiest link: {self.link.where}, {self.link.bits:.4g} bits "
            f"per step, between chips {self.link.between}, {self.link.between_bits:.4g}: {self.link_us:.3g} us\n"
            f"a step takes {self.us:.3g} us, modelled, decided by {self.decided_by}"
        )


def step_load(program: Program, resources: Resources, rates: Rates | None = None, times: Mapping[str, float] | None = None) -> StepLoad:
    """Return the busiest core and link of a placement, and the step time that follows.

    Args:
        rates: spikes per step of every neuron, by node; None: a spike of every neuron on every step.
        times: the group `time` of the catalogue, by name.
    """
    times = times or values("time")
    loads = CoreLoads(program, resources)
    operations, reads = loads.of_rates(rates or {name: np.ones(int(np.prod(node.shape))) for name, node in program.nodes.items()})
    updates = loads.stock * times["update_ns"] + loads.microcode * times["microcode_ns"]
    needed = np.max([updates, operations * times["operation_ns"], reads * times["read_ns"]], axis=0) / NS_PER_US
    core = int(needed.argmax()) if len(needed) else 0
    link = link_load(program, resources, rates, *(times[name] for name in ("message_bits", "payload_bits", "remote_bits")))
    link_us = max(link.bits * times["link_ns"], link.between_bits * times["chip_link_ns"]) / NS_PER_US
    parts = {"the busiest core": float(needed.max(initial=0)), "a link": link_us, "the barrier": times["barrier_us"]}
    decided = max(parts, key=lambda part: parts[part])
    layers = np.repeat(loads.placed, [layer.cores for layer in resources.layers])
    held = _held(resources)
    return StepLoad(parts[decided], decided, core, str(layers[core]) if len(layers) else "none", parts["the busiest core"],
                    float(operations[core]) if len(held) else 0.0, float(reads[core]) if len(held) else 0.0,
                    int(held[core]) if len(held) else 0, link, link_us)  # fmt: skip


def _held(resources: Resources) -> NDArray[np.int64]:
    """(cores,) neurons."""
    splits = [resources.splits[layer.name] for layer in resources.layers]
    return np.concatenate([np.zeros(0, np.int64), *(np.bincount(split.labels, minlength=split.cores) for split in splits)])


def balance(program: Program, resources: Resources, rates: Rates | None = None, bits: int = 8) -> tuple[Resources, StepLoad]:
    """Return a placement whose busiest core has less to do, on the board's free cores, and its load; the same one where none is shorter.

    Args:
        resources: a placement that fits.
        rates: as for `step_load`.
        bits: no weight takes more, as it was placed.
    """
    demands, best = Demands(program), (resources, step_load(program, resources, rates))
    tried = best
    while tried[1].decided_by == "the busiest core":
        placed, busiest = tried
        cores = next(layer.cores for layer in placed.layers if layer.name == busiest.layer)
        finer = divided(placed, demands, busiest.layer, cores + max(1, cores // GROWTH), bits)
        if finer is None or not finer.fits:
            break
        tried = finer, step_load(program, finer, rates)
        if tried[1].us < best[1].us:
            best = tried
    return best
