"""A whole sequence that is given as the sample of one step: Linear layers take it, with the batch as one more axis of each sample."""

from collections.abc import Iterator

from torch import nn

from snnfuse.export.tracing.step.step import ADD, CONSTANT, DELAYED, INPUT, MODULE, NEURON, PART, ZERO, Step

ROWWISE = (nn.Linear, nn.Identity, nn.Dropout)  # do the same with every row
KEPT = {INPUT, ADD, NEURON, PART, DELAYED, CONSTANT, ZERO}


def doubtful_sample(step: Step, model: nn.Module) -> Iterator[str]:
    """What to warn of, a sentence: a model of one step that treats all rows of its samples alike, from its input to its outputs."""
    inputs = [term for term in step.terms if term.op == INPUT and len(term.shape) > 1 and term.shape[0] > 1]
    if step.steps > 1 or not inputs or any(len(step.terms[i].shape) < 2 for i in step.outputs):
        return
    if not all(term.op in KEPT or term.op == MODULE and isinstance(model.get_submodule(term.target), ROWWISE) for term in step.terms):
        return
    shape = inputs[0].shape
    yield (
        f"the sample is taken as samples of shape {shape}, and every layer does the same with their {shape[0]} rows; if these are "
        f"{shape[0]} samples of a whole sequence, (time, batch, ...), give one time step: sample[0]"
    )
