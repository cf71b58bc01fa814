"""How a network is compiled: one object, from the command line down to every population."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from snnfuse.export.quantization.settings import QuantizationSettings

L2 = Literal["fold", "host", "microcode"]
Effort = Literal["off", "fast", "full"]
Layout = Literal["step", "static", "time-first", "batch-first", "time-last"]  # as of export.tracing.forms, which needs torch
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Settings(QuantizationSettings):
    """All that a user decides, beside what `QuantizationSettings` has.

    Attributes:
        l2: how L2 on every step is computed: "fold" to a constant gain, by the "host" between two programs, or in neuron "microcode".
        max_drop: percentage points that a search for the cheapest bits may cost; None: no search, `weight_bits` hold.
        tune: whether integers are repaired without labels after rounding, by training on the samples: `snnfuse.nn.tuning`.
        tune_dir: a folder for what tuning has learnt so far; the same call goes on from it after a kill. None: none.
        cluster: a ray cluster that the search's fits run on, as for `snnfuse.hardware.emulate_on_cluster`; None: this process, with the
            same result.
        prove: the overflow proof: "fast", bounds and half a second of search for witnesses; "full", as long as that search takes; "off".
        time_steps: over how many steps a model loops whose forward does so itself, and how many the samples have; None for as many as
            they have.
        layout: how a model's forward takes time, as `snnfuse.export.tracing.forms.Layout`; None to find it out.
        batch_first: whether arrays given as samples are (batch, time, ...).
        shapes: of one time step of one sample, by input name, where there are no samples to tell.
        net: which part of a netx file, and what is fed to it, by the names of `snnfuse.export.netx.options.NetOptions`.
    """

    l2: L2 = "fold"
    max_drop: float | None = None
    tune: bool = False
    tune_dir: Path | None = None
    cluster: str | None = None
    prove: Effort = "off"
    time_steps: int | None = None
    layout: Layout | None = None
    batch_first: bool = False
    shapes: Shapes | None = None
    net: Mapping[str, int] = field(default_factory=dict)

    @property
    def of_traced(self) -> "Settings":
        """The same for a graph that was traced, which says its time step itself."""
        return replace(self, dt=None)


DEFAULTS = Settings()
