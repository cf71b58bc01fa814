"""Every constant that energy and time are modelled with, as data: range, unit, how sure it is, and its source.

Nothing here was measured by this project. The Loihi 1 figures are of the chip's design before silicon; for Loihi 2 one published run
states power, rate, cores and steps.
"""

from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

MODELLED = "modelled, not measured; no board was available"

Status = Literal["measured", "pre-silicon", "published", "derived", "assumed"]


class Range(NamedTuple):
    """A lower and an upper bound; never one number."""

    low: float
    high: float

    def __add__(self, other: "Range") -> "Range":  # type: ignore[override]
        return Range(self.low + other[0], self.high + other[1])

    def __mul__(self, factor: float) -> "Range":  # type: ignore[override]
        return Range(self.low * factor, self.high * factor)

    def contains(self, value: float) -> bool:
        """Return True if a value lies between the bounds, both included."""
        return self.low <= value <= self.high


NOTHING = Range(0.0, 0.0)


@dataclass(frozen=True)
class Constant:
    """A number that a model rests on.

    Attributes:
        what: the quantity, in words.
        low, high: its range; the same where the source gives one number.
        unit: of both.
        status: measured (a published run), pre-silicon (simulated before the chip was made), published (a table of a paper about other
            hardware), derived (computed from a published network), or assumed.
        source: where it is from.
    """

    what: str
    low: float
    high: float
    unit: str
    status: Status
    source: str

    @property
    def range(self) -> Range:
        return Range(self.low, self.high)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


DAVIES = "Davies et al. 2018, Loihi, IEEE Micro 38(1), table of operations, pre-silicon, 0.75 V"
MESH = "a mesh of 8 by 4 tiles of four cores: at most 7 hops east-west at 3.0 pJ and 3 north-south at 4.0 pJ"
LOIHI1 = MappingProxyType(
    {
        "operation_pj": Constant("energy of a synaptic operation", 23.6, 23.6, "pJ", "pre-silicon", DAVIES),
        "active_pj": Constant("energy of updating an active neuron", 81.0, 81.0, "pJ", "pre-silicon", DAVIES),
        "inactive_pj": Constant("energy of updating an inactive neuron", 52.0, 52.0, "pJ", "pre-silicon", DAVIES),
        "tile_pj": Constant("energy of a message within a tile", 1.7, 1.7, "pJ", "pre-silicon", DAVIES),
        "mesh_pj": Constant("more for the way across the mesh", 0.0, 33.0, "pJ", "assumed", f"{DAVIES}; {MESH}"),
        "operation_ns": Constant("time of a synaptic operation", 3.5, 3.5, "ns", "pre-silicon", DAVIES),
        "update_ns": Constant("time of a neuron update, inactive and active", 5.3, 8.4, "ns", "pre-silicon", DAVIES),
        "barrier_ns": Constant("time of the barrier that ends a step", 113.0, 465.0, "ns", "pre-silicon", f"{DAVIES}; 1 to 32 tiles"),
    }
)

RUN = "lava-dl, tutorials/lava/lib/dl/netx/pilotnet_snn/benchmark.ipynb, Oheo Gulch"
GEOMETRY = "counted on the layers that the notebook prints, placed as its log does; benchmarks/pilotnet.py"
PILOTNET = MappingProxyType(
    {
        "rate": Constant("inferences per second", 408.91, 408.91, "1/s", "measured", RUN),
        "total_w": Constant("power", 0.679, 0.679, "W", "measured", RUN),
        "static_w": Constant("static power, part of it", 0.232, 0.232, "W", "measured", RUN),
        "steps": Constant("steps per inference", 16, 16, "steps", "measured", RUN),
        "cores": Constant("cores", 74, 74, "cores", "measured", RUN),
        "chips": Constant("chips", 1, 1, "chips", "measured", RUN),
        "neurons": Constant("neurons", 158_509, 158_509, "neurons", "derived", GEOMETRY),
        "synapses": Constant(
            "synapses: operations of a step in which every neuron fires", 14_184_150, 14_184_150, "operations", "derived", GEOMETRY
        ),
        "core_neurons": Constant("neurons on the fullest core", 3168, 3168, "neurons", "derived", GEOMETRY),
        "core_synapses": Constant("synapses onto the busiest core", 1_179_648, 1_179_648, "operations", "derived", GEOMETRY),
        "activity": Constant(
            "spikes per neuron and step", 0.02, 0.18, "", "assumed",
            "not published. At most: the busiest core's operations fit the published step of 153 us at 0.7 ns each, Loihi 1's 3.5 ns "
            "five times as fast (Intel's 2021 brief of Loihi 2, from memory). At least: typical of sparse trained networks",
        ),
    }
)  # fmt: skip

HOROWITZ = "Horowitz, Computing's energy problem, ISSCC 2014, 45 nm, 0.9 V"
CPU = MappingProxyType(
    {
        "mac_pj": Constant(
            "energy of a float32 multiply-accumulate on a CPU", 4.6, 94.6, "pJ", "published",
            f"{HOROWITZ}: arithmetic alone, 3.7 + 0.9; with an instruction's overhead, 70, and a 64-bit read of a 32 KB cache, 20",
        )
    }
)  # fmt: skip


def published_energy_mj() -> dict[str, float]:
    """Return the energy of the published run in mJ per inference: power over rate."""
    rate, total, static = (PILOTNET[name].low for name in ("rate", "total_w", "static_w"))
    return {"total": 1e3 * total / rate, "dynamic": 1e3 * (total - static) / rate}
