"""What becomes of every way to use a snnTorch neuron, in rows; a test traces each of them and compares."""

from collections.abc import Iterator
from dataclasses import dataclass

from snnfuse.export.ops_table import Row
from snnfuse.export.tracing.neurons.kinds import FOREIGN, KINDS, REFUSED
from snnfuse.export.tracing.neurons.readers import LONG_STEP, NO_IMMEDIATE_RESET
from snnfuse.export.tracing.neurons.rule import EXTRAS, GRADED_OUTPUT, LOW_THRESHOLD, UNGRADED_CHANGE, UNGRADED_REASON

GROUP = "snnTorch neuron"
STATES = {"mem": "membrane", "syn": "synaptic current"}
READ = ("fc (Linear) reads it, and NIR passes on spikes only", "feed on spikes, or return the membrane")
TWICE = (
    "steps 0 and 1 of its loop differ: input 'x' against fc (Linear)",
    "make every step of the loop the same, and give every layer its own module",
)
NOTED = ", its reset in a note"
OWN_NOTED = ", itself in a note"
READ_OF_LI, READ_BY_NOTE = "; an Output reads the LI", "; an Output reads its membrane by a note"
EXTRA_CASES = ("inhibition=True", "state_quant", "spike_grad that is no step when run forward")


@dataclass(frozen=True)
class Form:
    """A neuron, and the NIR nodes that its rule becomes.

    Attributes:
        name: of its class.
        states: as its forward returns them.
        recurrent: whether its spikes lead back to its input.
        immediate: whether it has a reset_delay; False can then be asked for.
        drops: whether its delayed reset to zero loses what the next step receives.
    """

    name: str
    states: tuple[str, ...]
    recurrent: bool
    immediate: bool = True
    drops: bool = True

    def nodes(self, reset: str = "subtract", membrane: str = "LI", current: str = "LI", back: str = "Affine") -> str:
        """The nodes on the way from input to output, and those that lead back; `back` is the kind of the recurrent map."""
        if self.name == "Alpha":
            return "CubaLIF" + OWN_NOTED
        with_current = "syn" in self.states
        backwards = (["Scale"] if reset == "subtract" else []) + ([back] if self.recurrent else [])
        integrators = [current, membrane] if with_current else [membrane]
        way = ["CubaLIF" if with_current else "LIF"] if reset == "zero" else [*integrators, "Threshold"]
        return " → ".join(way) + (f", back through {' and '.join(backwards)}" if backwards else "")

    def exact(self, case: str, how: str) -> Row:
        """A row for what is the same spike for spike."""
        return Row(GROUP, self.name, case, "exact", how)

    def approximate(self, case: str, nodes: str, *changes: tuple[str, str]) -> Row:
        """A row for what gets entries in the ledger, of change and reason."""
        return Row(GROUP, self.name, case, "approximate", f"{nodes}: " + "; ".join(f"{what}, because {why}" for what, why in changes))

    def refused(self, case: str, reason: str, way_out: str) -> Row:
        """A row for what is not exported."""
        return Row(GROUP, self.name, case, "refused", reason, way_out)


FORMS = tuple(
    Form(
        kind.__name__,
        how.states,
        "spk" in how.states,
        immediate=kind.__name__ not in ("Lapicque", "Alpha"),
        drops=kind.__name__ not in ("Leaky", "Alpha"),
    )
    for kind, how in KINDS.items()
)


def ops_rows() -> tuple[Row, ...]:
    """One row per neuron and case."""
    exported = (row for form in FORMS for row in _exported(form))
    return (*exported, *(Row(GROUP, kind.__name__, "", "refused", why.reason, why.way_out) for kind, why in REFUSED.items()))


def _exported(form: Form) -> Iterator[Row]:
    yield from _resets(form)
    yield from {"Lapicque": _lapicque_parameters, "Alpha": _alpha_parameters}.get(form.name, _parameters)(form)
    yield form.refused("threshold at or below 0", f"its threshold is -1; {LOW_THRESHOLD.reason}", LOW_THRESHOLD.way_out)
    if form.recurrent:
        yield from _recurrences(form)
    if form.name == "Leaky":
        yield from _graded(form)
    for case, extra in zip(EXTRA_CASES, EXTRAS):
        yield form.refused(case, extra.reason, extra.way_out)
    yield from _uses(form)


def _resets(form: Form) -> Iterator[Row]:
    for reset in ("subtract", "zero"):
        for delay in (True, False) if form.immediate else (None,):
            case = f'reset_mechanism="{reset}"' + ("" if delay is None else f", reset_delay={delay}")
            nodes = form.nodes(reset)
            if delay is False and form.name == "RSynaptic":
                yield form.refused(case, NO_IMMEDIATE_RESET.reason, NO_IMMEDIATE_RESET.way_out)
            else:
                is_noted = (delay is False and reset == "subtract") or (delay is not False and reset == "zero" and form.drops)
                yield form.exact(case, nodes + NOTED * is_noted)
    yield form.exact('reset_mechanism="none", its spikes used', form.nodes("none"))
    case = 'reset_mechanism="none", its membrane used'
    yield form.exact(
        case, form.nodes("none").replace(" → Threshold, back through ", ", back through Threshold and ").removesuffix(" → Threshold")
    )


def _lapicque_parameters(form: Form) -> Iterator[Row]:
    for case in ("threshold one per neuron", "threshold one per channel", "beta alone", "R and C alone", "learn_beta, learn_threshold"):
        yield form.exact(case, form.nodes())
    yield form.refused("time_step longer than R C", LONG_STEP.reason, LONG_STEP.way_out)


def _alpha_parameters(form: Form) -> Iterator[Row]:
    names = "alpha, beta, threshold"
    for case in (f"{names} one per neuron", f"{names} one per channel", "learn_beta, learn_threshold", "alpha=1", "beta=0"):
        yield form.exact(case, form.nodes())


def _parameters(form: Form) -> Iterator[Row]:
    names = ("alpha", "beta", "threshold") if "syn" in form.states else ("beta", "threshold")
    yield form.exact(f"{', '.join(names)} one per neuron", form.nodes())
    yield form.exact(f"{', '.join(names)} one per channel", form.nodes(back="Conv2d"))
    yield form.exact(", ".join(f"learn_{name}" for name in names), form.nodes())
    yield form.exact("beta=1", form.nodes(membrane="I"))
    yield form.exact("beta=1 for some", form.nodes())
    if "syn" in form.states:
        yield form.exact("alpha=1", form.nodes(current="I"))


def _recurrences(form: Form) -> Iterator[Row]:
    yield form.exact("all_to_all=True, linear_features", form.nodes())
    yield form.exact("all_to_all=True, conv2d_channels and kernel_size", form.nodes(back="Conv2d"))
    for case in ("all_to_all=False", "all_to_all=False, V one per neuron"):
        yield form.exact(case, form.nodes(back="Scale"))


def _graded(form: Form) -> Iterator[Row]:
    read = "LI → Threshold → Scale → Affine → LI → Threshold, back through Scale and Scale"
    yield form.exact("graded_spikes_factor, read by a layer", read)
    yield form.approximate("graded_spikes_factor, returned", form.nodes(), (UNGRADED_CHANGE.format(2), UNGRADED_REASON))
    yield form.exact("graded_spikes_factor one per neuron, read by a layer", read)
    yield form.refused("graded_spikes_factor one per neuron, returned", GRADED_OUTPUT.reason, GRADED_OUTPUT.way_out)


def _uses(form: Form) -> Iterator[Row]:
    yield form.exact("init_hidden=False, states passed along in forward's own loop", form.nodes())
    read = form.nodes() + (READ_BY_NOTE if form.name == "Alpha" else READ_OF_LI)
    yield form.exact("its membrane returned beside the spikes", read)
    left = [_left_out(STATES.get(state, f"state {state!r}")) for state in form.states if state not in ("spk", "mem")]
    if left:
        yield form.approximate("output=True, all states returned", read, *left)
    yield form.refused("its membrane is read by a layer", *READ)
    yield form.refused("used twice in one step", *TWICE)
    yield form.refused("a subclass of it", FOREIGN.reason, FOREIGN.way_out)


def _left_out(state: str) -> tuple[str, str]:
    reason = f"an output reads spikes or a membrane; the {state} of neuron can be recorded instead"
    return f"its {state} is not an output of the graph", reason
