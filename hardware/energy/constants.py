"""The catalogue of constants that time and energy are modelled with: value, unit, how sure it is, and its source.

Nothing here was measured by this project: no board was available. Fitted values are those of `python -m benchmarks.published --fit`,
which a test compares with this catalogue.

    fitted      to published runs of Loihi 2; the source says to which
    scaled      a figure of other hardware times a factor that was fitted to such runs
    inherited   a figure of Loihi 1, taken as it is
    documented  stated in public code that ran on boards, or in a paper's table
    assumed     nobody has published it
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

MODELLED = "modelled, not measured; no board was available"

Status = Literal["fitted", "scaled", "inherited", "documented", "assumed"]


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


@dataclass(frozen=True)
class Constant:
    """A number that a model rests on.

    Attributes:
        what: the quantity, in words.
        value: the number.
        unit: of the number.
        status: fitted, scaled, inherited, documented or assumed; see above.
        source: where it is from.
    """

    what: str
    value: float
    unit: str
    status: Status
    source: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


PROFILE = "a public profiling script of YOLO-KP on Loihi 2 boards, in the form of lava-dl's notebooks"
PILOTNET = "PilotNet SNN, 408.91 and 342.29 inferences/s (lava-dl, netx/pilotnet_snn/benchmark.ipynb: Oheo Gulch, Kapoho Point)"
WTA = "winner-take-all of 200 to 1,200 neurons (OzU-CAST/LoihiScalingEfficiency)"
PAIR = "two LIF neurons, 10**7 steps (NECOTIS/TemporalLearningInRSNNs, loihi_experiment/res.json)"
SHD = "SHD networks with delays (arXiv 2510.13757)"
SDNN = "PilotNet SDNN, 16.87 and 11.18 frames/s (lava-dl, netx/pilotnet_sdnn/benchmark.ipynb)"
SANA_FE = "SANA-FE's fit to Loihi 1 silicon (SLAM-Lab/SANA-FE, arch/loihi.yaml)"

TIME = MappingProxyType(
    {
        "update_ns": Constant("update of a stock neuron, per word of its state", 4.0, "ns", "documented",
                              f"{PROFILE}: 4 ns, and two passes for sigma-delta. A public re-implementation has 3.0 + 1.85 ns"),
        "microcode_ns": Constant("update of a neuron in microcode, per word of its state", 18.99, "ns", "fitted",
                                 f"{WTA}, Izhikevich neurons of 3 words"),
        "operation_ns": Constant("synaptic operation", 0.9508, "ns", "fitted", f"{PILOTNET}, with the spikes of lava-dl's own test of that "
                                 f"network; drawn towards 0.71, the mean of 0.66 ({PROFILE}, N3B3) and 0.76 (a public re-implementation)"),
        "read_ns": Constant("read of a word of synapse memory, 64 bits", 2.8, "ns", "assumed",
                            "four listed synapses of 8 bits and an index at 0.71 ns each: reading then keeps up with adding"),
        "link_ns": Constant("a bit on a link between tiles", 0.128, "ns", "inherited",
                            f"{SANA_FE}: 4.1 ns per hop along a row; that a link is busy so long for 32 bits is assumed"),
        "chip_link_ns": Constant("a bit on a link between chips", 0.15625, "ns", "documented", f"{PROFILE}: 8 bits at 800 MHz"),
        "message_bits": Constant("a spike between cores of a chip", 32, "bits", "documented", f"{PROFILE}: a header"),
        "payload_bits": Constant("more for a payload", 32, "bits", "documented", f"{PROFILE}: an activation"),
        "remote_bits": Constant("more between chips", 32, "bits", "documented", f"{PROFILE}: a remote header"),
        "barrier_us": Constant("shortest step: the barrier and what management comes with it", 1.451, "us", "fitted",
                               f"{PAIR}: 1.164; {WTA}, LIF: 1.75 to 1.78; {SHD}: 1.46 to 1.54 ms per sample, 1,000 steps assumed"),
    }
)  # fmt: skip

HOST = MappingProxyType(
    {
        "value_us": Constant("moving one value from the host", 1.831, "us", "fitted", f"{SDNN}: 39,600 values per frame, all counted"),
        "exchange_us": Constant("one exchange with the host", 300.0, "us", "assumed",
                                "below the 0.75 ms per step of the event detector of arXiv 2605.00146, which moves values too"),
    }
)  # fmt: skip

POWER = MappingProxyType(
    {
        "static_w": Constant("static power of the chip of a board of one", 0.2844, "W", "fitted",
                             f"{PAIR}: 0.213; {PILOTNET}: 0.232; {SDNN}: 0.282; total power of {WTA}"),
        "shared_static_w": Constant("static power of a chip of a board of several", 0.1217, "W", "fitted",
                                    f"{SHD}: 0.099 and 0.123. That those runs state a chip's share of a larger board is assumed"),
        "running_w": Constant("more while the chip steps", 0.04157, "W", "fitted", f"{PAIR}: 0.027 to 0.035"),
        "core_w": Constant("more per core while it steps", 0.0002567, "W", "fitted", f"{WTA}, {SHD}, {PILOTNET}"),
        "update_pj": Constant("update of a stock neuron", 42.18, "pJ", "scaled", "81 pJ of Loihi 1 (Davies et al. 2018), by 0.521: "
                              f"{PILOTNET}"),
        "operation_pj": Constant("synaptic operation", 12.29, "pJ", "scaled", "23.6 pJ of Loihi 1 (Davies et al. 2018), by the same"),
        "message_pj": Constant("message to another core", 18.07, "pJ", "scaled", "1.7 pJ within a tile and 33 pJ across the mesh "
                               "of Loihi 1 (Davies et al. 2018): all the way, by the same"),
    }
)  # fmt: skip

PUBLISHED = "python -m benchmarks.published: each run is left out of the fit that it is judged by"
VALIDATION = MappingProxyType(
    {
        "time_factor": Constant("an interval in time: the median divided and multiplied by", 1.7, "", "fitted", PUBLISHED),
        "energy_factor": Constant("an interval in energy: the same", 3.0, "", "fitted", PUBLISHED),
        "time_rows": Constant("published runs whose time was judged", 20, "", "fitted", PUBLISHED),
        "time_error": Constant("factor between model and published time, median", 1.216, "", "fitted", PUBLISHED),
        "time_worst": Constant("the same, largest", 1.497, "", "fitted", PUBLISHED),
        "energy_rows": Constant("published runs whose energy was judged", 15, "", "fitted", PUBLISHED),
        "energy_error": Constant("factor between model and published energy, median", 1.526, "", "fitted", PUBLISHED),
        "energy_worst": Constant("the same, largest", 2.026, "", "fitted", PUBLISHED),
    }
)  # fmt: skip

LOIHI1 = MappingProxyType(
    {
        "access_pj": Constant("access to a neuron, each step", 51.2, "pJ", "inherited", SANA_FE),
        "access_ns": Constant("the same", 6.0, "ns", "inherited", SANA_FE),
        "update_pj": Constant("update of a neuron that something reached", 21.6, "pJ", "inherited", SANA_FE),
        "update_ns": Constant("the same", 3.7, "ns", "inherited", SANA_FE),
        "spike_pj": Constant("a neuron that fires", 69.3, "pJ", "inherited", SANA_FE),
        "spike_ns": Constant("the same", 30.0, "ns", "inherited", SANA_FE),
        "dense_pj": Constant("synaptic operation, dense", 35.5, "pJ", "inherited", SANA_FE),
        "dense_ns": Constant("the same", 3.8, "ns", "inherited", SANA_FE),
        "sparse_pj": Constant("synaptic operation, sparse", 33.6, "pJ", "inherited", SANA_FE),
        "convolution_pj": Constant("synaptic operation, convolution", 24.0, "pJ", "inherited", SANA_FE),
        "axon_out_pj": Constant("message out of a core", 111.0, "pJ", "inherited", SANA_FE),
        "hop_pj": Constant("a hop of a message", 3.6, "pJ", "inherited", f"{SANA_FE}: 3.0 to 4.2"),
        "barrier_us": Constant("the barrier; of 1, 2, 4 and 29 tiles 0.6, 1.0, 1.4 and 1.8", 1.8, "us", "inherited", SANA_FE),
    }
)  # fmt: skip

HOROWITZ = "Horowitz, Computing's energy problem, ISSCC 2014, 45 nm, 0.9 V"
CPU = MappingProxyType(
    {
        "mac_pj": Constant("float32 multiply-accumulate, arithmetic alone", 4.6, "pJ", "documented", f"{HOROWITZ}: 3.7 + 0.9"),
        "mac_with_overhead_pj": Constant("the same with what an instruction and a cache read cost", 94.6, "pJ", "documented",
                                         f"{HOROWITZ}: an instruction's overhead, 70, and a 64-bit read of a 32 KB cache, 20"),
    }
)  # fmt: skip

CATALOGUE: Mapping[str, Mapping[str, Constant]] = MappingProxyType(
    {
        "time": TIME,
        "host": HOST,
        "power": POWER,
        "validation": VALIDATION,
        "loihi1": LOIHI1,
        "cpu": CPU,
    }
)
"""Every constant, by the part of the model that uses it."""


def values(*groups: str) -> dict[str, float]:
    """Return the numbers of some groups of the catalogue, by name."""
    return {name: constant.value for group in groups for name, constant in CATALOGUE[group].items()}
