"""A diagnosis: what float and deployed come to, layer by layer, and the cause with advice."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from snnfuse.diagnosis.causes import Finding
from snnfuse.diagnosis.chaos import Chaos
from snnfuse.diagnosis.divergence import Divergence
from snnfuse.diagnosis.outcome import Outcome
from snnfuse.diagnosis.restoring import Cost
from snnfuse.export.quantization.layer_effects import LayerEffect
from snnfuse.hardware.shown import columns, html

ROUNDING = ("weight rounding", "decay rounding", "threshold rounding", "bias rounding", "threshold tie", "clip")
HEAD = ("layer", "alone", "inherited", "together", "first differs", "rates, EMD", "restored")


@dataclass(frozen=True)
class LayerDiagnosis:
    """One layer.

    Attributes:
        name: of the layer.
        effect: what it changes alone, inherits, and both together.
        rate_distance: earth mover's distance of its neurons' firing rates, in spikes per step.
        first: where it first differs; None where no spike does.
        cost: what restoring it to float gives back; None where that was not run.
    """

    name: str
    effect: LayerEffect
    rate_distance: float
    first: Divergence | None = None
    cost: Cost | None = None

    @property
    def row(self) -> tuple[str, ...]:
        """The cells under `HEAD`."""
        e, first = self.effect, self.first
        where = "never" if first is None else f"step {first.time}, sample {first.batch}, neuron {first.neuron}"
        cost = "" if self.cost is None else f"{self.cost.points:+.2f} points"
        return self.name, _short(e.alone), _short(e.inherited), _short(e.together), where, f"{self.rate_distance:.4g}", cost


def _short(difference: Any) -> str:
    return f"{difference.size:.2%}"


@dataclass(frozen=True)
class Diagnosis:
    """Why a program does something else than its float network.

    Attributes:
        name: of what was diagnosed.
        source: what it was run on.
        outcome: accuracy and agreement, float against deployed.
        layers: in order, sources first.
        findings: causes, the first of them to blame most; empty where nothing differs.
        chaos: whether any hardware could keep its spikes.
        seconds: that it took.
    """

    name: str
    source: str
    outcome: Outcome
    layers: tuple[LayerDiagnosis, ...]
    findings: tuple[Finding, ...]
    chaos: Chaos | None
    seconds: float

    @property
    def finding(self) -> Finding | None:
        """What is to blame most; None where nothing differs."""
        return self.findings[0] if self.findings else None

    @property
    def layer(self) -> str:
        """The layer or input to blame; "" where none is, or the cause concerns all."""
        return self.findings[0].node if self.findings else ""

    @property
    def cause(self) -> str:
        """One of `snnfuse.diagnosis.CAUSES`; "" where nothing differs."""
        return self.findings[0].cause if self.findings else ""

    @property
    def advice(self) -> str:
        """One sentence on what to do; "" where nothing differs."""
        if self.findings and self.cause in ROUNDING and self.outcome.agreement == 1:
            return "nothing needs doing, for every sample keeps its class"
        return self.findings[0].advice if self.findings else ""

    @property
    def first(self) -> Divergence | None:
        """The first layer's first difference."""
        return next((layer.first for layer in self.layers if layer.first is not None), None)

    @property
    def verdict(self) -> tuple[str, ...]:
        """What to know first, a sentence each."""
        o = self.outcome
        lines = [f"{self.name}, on {o.samples} samples ({self.source})"]
        if o.accuracy is not None and o.float_accuracy is not None:
            lines.append(f"accuracy: float {o.float_accuracy:.2%}, deployed {o.accuracy:.2%}")
        lines.append(f"same class in {o.agreement:.2%} of samples; {o.output_share:.2%} of the output differs")
        if self.chaos is not None and o.output_share and (self.chaos.is_chaotic or self.chaos.share >= o.output_share / 2):
            lines.append(str(self.chaos))
        if self.finding is None:
            return (*lines, "cause: none, nothing differs")
        return (*lines, f"cause: {self.finding}", f"advice: {self.advice}")

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict, further findings, the first difference, and whether the network is chaotic."""
        more = [f"also: {finding}" for finding in self.findings[1:4]]
        first = [f"first: {self.first.node}, {self.first}"] if self.first else []
        chaos = [] if self.chaos is None else [str(self.chaos)]
        return (*self.verdict, *more, *first, *(c for c in chaos if c not in self.verdict))

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Of a table under `HEAD`, the layers that differ most."""
        shown = sorted(self.layers, key=lambda layer: -layer.effect.together.size)[:16]
        return [layer.row for layer in self.layers if layer in shown]

    def __str__(self) -> str:
        return "\n".join([*self.sentences, *columns(HEAD, self.rows)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html(self.verdict[0], self.verdict[1:], HEAD, [layer.row for layer in self.layers])

    def to_json(self) -> dict[str, Any]:
        """The same, JSON-able."""
        first = self.first
        chaos = None if self.chaos is None else asdict(self.chaos) | {"chaotic": self.chaos.is_chaotic}
        about: Mapping[str, Any] = {
            "name": self.name, "source": self.source, "cause": self.cause, "layer": self.layer, "advice": self.advice,
            "outcome": asdict(self.outcome), "chaos": chaos,
            "first": None if first is None else asdict(first), "seconds": self.seconds,
        }  # fmt: skip
        layers = [asdict(layer) | {"alone": layer.effect.alone.size, "inherited": layer.effect.inherited.size} for layer in self.layers]
        return {**about, "layers": layers, "findings": [asdict(f) | {"advice": f.advice} for f in self.findings]}
