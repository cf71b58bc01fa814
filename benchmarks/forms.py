"""What the forms of S-CMRL over time come to with the same weights: `python -m benchmarks.forms [--data NAME ...] [--keep FILE]`.

Trains a small S-CMRL in each form, "legacy", which is the arithmetic of the published code, "exact" and "causal", the default, for as many
pairs as two cores can do; and reads the test pairs in every form with these weights, in float32. A row has the accuracy, and how many
answers are others than in the form that was trained: what `snnfuse convert s-cmrl --form` moves before any fine-tuning. Means and 95 %
intervals over seeds (Student's t). --docs writes docs/s_cmrl.md.
"""

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from benchmarks import claims
from benchmarks.fusions import SETTINGS, short_training
from benchmarks.rows import Row
from snnfuse import networks
from snnfuse.checkpoints.published import FORMS
from snnfuse.data import AudioVisual

BEGIN, END = "<!-- figures: written by python -m benchmarks.forms --docs docs -->", "<!-- end of forms -->"
BLOCK = 100


def measure(wanted: Row, options: argparse.Namespace) -> Iterator[Row]:
    """A row per form in which one network is read."""
    data = claims.part(wanted["data"], options.data_dir, options.pairs, options.tests, SETTINGS)
    model = short_training(data, wanted, **FORMS[wanted["trained"]]).model
    own = answers(model, data)
    for form in FORMS:
        found = answers(in_form(model, form), data)
        yield {"read": form, "accuracy": 100 * float((found == data.test.labels).mean()), "moved": int((found != own).sum())}


def in_form(model: nn.Module, form: str) -> nn.Module:
    """A network of another form with a network's weights and norms; its thresholds are its own."""
    _, config = networks.describe(model) or ("", {})
    made = networks.build("s-cmrl", {**config, "legacy": False, **FORMS[form]})
    learnt = {name for name, _ in model.named_parameters()} | {name for name in model.state_dict() if ".running_" in name}
    made.load_state_dict({**made.state_dict(), **{name: model.state_dict()[name] for name in learnt}})
    return made.eval()


def answers(model: nn.Module, data: AudioVisual) -> np.ndarray:
    """Of every test pair the class with the largest sum of scores over time, ties to the lowest index."""
    found = []
    with torch.no_grad():
        for start in range(0, len(data.test), BLOCK):
            steps = data.test.steps(np.arange(start, min(start + BLOCK, len(data.test))))
            found.append(networks.run(model, *(torch.from_numpy(steps[name]) for name in model.inputs)).sum(0).argmax(1).numpy())
    return np.concatenate(found)


def tables(own: Sequence[Row]) -> Iterator[str]:
    """Of one data set: a line per form that was trained, and form in which it is read."""
    kinds = [(trained, read) for trained in FORMS for read in FORMS]
    groups = [(kind, [row for row in own if (row["trained"], row["read"]) == kind]) for kind in kinds]
    columns: claims.Columns = {
        "accuracy %": claims.mean_of("accuracy"),
        "answers moved": claims.mean_of("moved", digits=0),
        "by seed": lambda like: ", ".join(f"{row['moved']:,}" for row in like),
    }
    yield claims.lines(groups, ("trained in", "read in"), columns)


def main() -> None:
    options = claims.parser(__doc__, ("mnist-fsdd",), shown=3000, channels=16, pairs=3000, tests=2000).parse_args()
    found = claims.rows(options, "trained", tuple(FORMS), lambda one: measure(one, options))
    claims.publish(claims.sections(found, tables), options, BEGIN, END, "s_cmrl.md")


if __name__ == "__main__":
    main()
