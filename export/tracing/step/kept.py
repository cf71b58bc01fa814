"""Which of a step's terms become the graph, and the questions about a term's surroundings.

A neuron's spikes and its membrane can be outputs. A synaptic current, or a state of a user's own neuron, is left out with an entry in the
ledger, if everything else that forward computes is still there.
"""

from dataclasses import dataclass

from torch import nn

from snnfuse.export.tracing.capture.fx_types import neuron_at
from snnfuse.export.tracing.capture.layer_kinds import BINARY, IDENTITIES, MAX_POOLS
from snnfuse.export.tracing.capture.trace_ops import BY_NAME
from snnfuse.export.tracing.neurons import is_graded, reset_rule
from snnfuse.export.tracing.nodes.refusal import refusal
from snnfuse.export.tracing.step.step import DELAYED, MODULE, NEURON, OPERATION, PART, ZERO, Step, Term
from snnfuse.hardware.ledger import Ledger, LedgerEntry

SPIKES, MEMBRANE = "spikes", "mem"
LOOP_ADVICE = "let a neuron's spikes of the step before reach, through at most one layer, that neuron alone"


@dataclass(frozen=True)
class Kept:
    """The part of a step that NIR holds.

    Attributes:
        step: all of it.
        model: holds its modules.
        outputs: indices of the terms that are NIR outputs.
        returned: for each of those, which of the values that forward returns it is.
        order: indices of the terms that they need, arguments before readers.
        readers: of each of those, the indices of the terms that read it.
        ledger: what was left out.
    """

    step: Step
    model: nn.Module
    outputs: tuple[int, ...]
    returned: tuple[int, ...]
    order: tuple[int, ...]
    readers: dict[int, tuple[int, ...]]
    ledger: Ledger

    @staticmethod
    def of(step: Step, model: nn.Module) -> "Kept":
        """Choose what to keep.

        Raises:
            UnsupportedError: something that forward computes would be lost.
        """
        dropped = [i for i in step.outputs if _is_hidden_state(step, model, i)]
        returned = tuple(position for position, i in enumerate(step.outputs) if i not in dropped)
        outputs = tuple(step.outputs[position] for position in returned)
        order = _needed(step, outputs)
        readers = {i: tuple(r for r in order if i in step.terms[r].args) for i in order}
        kept = Kept(step, model, outputs, returned, order, readers, tuple(_left_out(step, i) for i in dict.fromkeys(dropped)))
        kept._refuse_losses()
        kept._refuse_read_states()
        return kept

    def is_readout(self, neuron: int) -> bool:
        """Whether a neuron never resets, and its membrane is all that is read of it, in this step and in the next."""
        path = self.step.terms[neuron].target
        module = neuron_at(self.model, path)
        if reset_rule(module) != "none" or hasattr(module, "recurrent") or hasattr(module, "syn_exc"):  # Alpha, which is one node
            return False
        fed_back = any(self.step.terms[i].op == DELAYED and self.step.terms[i].target[0] == path for i in self.order)
        return not fed_back and all(self.step.terms[r].target != SPIKES for r in self.readers[neuron])

    def membrane_of(self, index: int) -> int | None:
        """The neuron that fires, or resets, whose membrane a term is; None for anything else."""
        term = self.step.terms[index]
        return term.args[0] if term.op == PART and term.target == MEMBRANE and not self.is_readout(term.args[0]) else None

    @property
    def read_membranes(self) -> frozenset[int]:
        """The neurons that fire, or reset, whose membrane is an output."""
        return frozenset(neuron for i in self.outputs if (neuron := self.membrane_of(i)) is not None)

    @property
    def beside(self) -> frozenset[int]:
        """The outputs, by position, that are membranes of neurons whose spikes are an output too."""
        spikes = {self.step.terms[i].args[0] for i in self.outputs if self.step.terms[i].op == PART and self.step.terms[i].target == SPIKES}
        return frozenset(position for position, i in enumerate(self.outputs) if self.membrane_of(i) in spikes)

    def spiking(self, index: int) -> Term | None:
        """The neuron whose spikes a term is, as they are or through modules that do nothing in evaluation; None for anything else."""
        while self._kind(index) in IDENTITIES:
            index = self.step.terms[index].args[0]
        term = self.step.terms[index]
        return self.step.terms[term.args[0]] if term.op == PART and term.target == SPIKES else None

    def is_read_once(self, index: int) -> bool:
        """Whether one term, and no output, reads it."""
        return len(self.readers[index]) == 1 and index not in self.outputs

    def layer(self, index: int) -> nn.Module | None:
        """The torch layer that a term applies, as a module or as a function."""
        term = self.step.terms[index]
        if term.op == OPERATION:
            return term.target.layer
        return self.model.get_submodule(term.target) if term.op == MODULE else None

    def check_loop(self, delayed: int) -> None:
        """A neuron's spikes of the step before may reach that neuron only; anything longer has no single meaning in NIR."""
        term = self.step.terms[delayed]
        path, part = term.target
        if part != SPIKES:
            raise refusal(term.where, "the loop feeds it back, and NIR feeds back spikes only", "feed back spikes")
        reached, waiting = set(), [delayed]
        while waiting:
            here = waiting.pop()
            if here in self.outputs or self._kind(here) in MAX_POOLS:
                raise refusal(term.where, "its spikes of the step before are pooled or returned", LOOP_ADVICE)
            for reader in self.readers[here]:
                (reached.add if self.step.terms[reader].op == NEURON else waiting.append)(reader)
        others = {self.step.terms[r].where for r in reached if self.step.terms[r].target != path}
        if others:
            raise refusal(term.where, f"its spikes of the step before reach {', '.join(sorted(others))}", LOOP_ADVICE)

    def _kind(self, index: int) -> type | None:
        layer = self.layer(index)
        return None if layer is None else type(layer)

    def is_binary(self, index: int) -> bool:
        """Whether a term is known to be 0 or 1."""
        term = self.step.terms[index]
        if term.op == PART:
            return term.target == SPIKES and not is_graded(neuron_at(self.model, self.step.terms[term.args[0]].target))
        if term.op == DELAYED:
            return term.target[1] == SPIKES and not is_graded(neuron_at(self.model, term.target[0]))
        moves = term.op == OPERATION and BY_NAME[term.target.name].family == "move" and term.target.name != "pad"
        passes = term.op == ZERO or moves or self._kind(index) in BINARY
        return passes and all(self.is_binary(a) for a in term.args)

    def _refuse_losses(self) -> None:
        if not self.outputs:
            where = self.step.terms[self.step.outputs[0]].where if self.step.outputs else "forward"
            raise refusal(
                where,
                "nothing that NIR can output is returned",
                "return the spikes of the last neuron, or its membrane",
            )
        for index in _needed(self.step, self.step.outputs):
            term = self.step.terms[index]
            if term.op in (MODULE, NEURON) and index not in self.order:
                way_out = "return its spikes or its membrane too"
                raise refusal(
                    term.where,
                    "it would be lost: only a synaptic current depends on it, which is no NIR output",
                    way_out,
                )

    def _refuse_read_states(self) -> None:
        for index in self.order:
            term = self.step.terms[index]
            if term.op == PART and term.target != SPIKES and self.readers[index]:
                reader = self.step.terms[self.readers[index][0]].where
                raise refusal(term.where, f"{reader} reads it, and NIR passes on spikes only", "feed on spikes, or return the membrane")


def _is_hidden_state(step: Step, model: nn.Module, index: int) -> bool:
    """Whether a returned value is a state other than the membrane of one of snnTorch's neurons."""
    term = step.terms[index]
    if term.op != PART or term.target == SPIKES:
        return False
    return term.target != MEMBRANE or reset_rule(neuron_at(model, step.terms[term.args[0]].target)) == "own"


def _left_out(step: Step, index: int) -> LedgerEntry:
    term = step.terms[index]
    path = step.terms[term.args[0]].target
    what = {"syn": "synaptic current"}.get(term.target, f"state {term.target!r}")
    reason = f"an output reads spikes or a membrane; the {what} of {path} can be recorded instead"
    return LedgerEntry(path, f"its {what} is not an output of the graph", reason)


def _needed(step: Step, outputs: tuple[int, ...]) -> tuple[int, ...]:
    needed, waiting = set(), list(outputs)
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting.extend(step.terms[index].args)
    return tuple(sorted(needed))
