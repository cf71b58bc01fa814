"""A run's folder: what happened so far, as a table, and all that is needed to go on after a kill with the same result.

    epochs.csv             a row per epoch, in full precision
    state.ckpt             after the last whole epoch: weights, optimiser, schedule, best weights, history; replaced as a whole
    events.out.tfevents.*  for TensorBoard

No random state is stored, for none outlives an epoch: every epoch draws its random numbers anew from the seed and its own number.
state.ckpt is a file of torch.save that holds tensors and containers only, and it is opened with weights_only=True.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from snnfuse.checkpoints.torch_file import read_torch_file
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.files import write_whole
from snnfuse.training.results import Epoch

STATE, TABLE = "state.ckpt", "epochs.csv"


@dataclass(frozen=True)
class RunFolder:
    """One training's folder."""

    path: Path

    @property
    def state(self) -> Path:
        """The file to go on from."""
        return self.path / STATE

    def open(self, resume: bool) -> bool:
        """Make the folder; returns whether there is something to go on from.

        Raises:
            InputError: it cannot be made, or holds another run that `resume` does not ask to go on with.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be made ({error.strerror})") from error
        if self.state.exists() and not resume:
            raise InputError(f"{self.path} holds a run already: go on with it (resume=True), or choose another folder")
        return self.state.exists()

    def read(self, key: str, identity: dict[str, Any]) -> dict[str, Any]:
        """Return the state that the file holds under a callback's key.

        Raises:
            InputError: it is damaged, or of a training that `identity` does not describe; says in what they differ.
            UnsafeFileError: it holds more than tensors and containers.
        """
        content = read_torch_file(self.state, False)
        try:
            own = content["callbacks"][key]
            theirs = own["identity"]
        except (KeyError, TypeError) as error:
            raise InputError(f"{self.state}: not the state of a training of ours") from error
        different = next(differences(theirs, identity), None)
        if different is not None:
            name, held, asked = different
            raise InputError(
                f"{self.path} holds a run with {name} {held!r}, and {asked!r} is asked for: "
                "repeat its settings to go on with it, or choose another folder"
            )
        return own

    def write_table(self, history: Sequence[Epoch]) -> None:
        """All epochs, from the first."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(Epoch)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(epoch) for epoch in history)
        write_whole(self.path / TABLE, text.getvalue().encode())


def differences(one: Mapping[str, Any], other: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two nested dictionaries differ: the path, words with spaces between, and both values, None where there is none."""
    for name in {**other, **one}:
        path, here, there = f"{within}{name}", one.get(name), other.get(name)
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            yield from differences(here, there, f"{path} ")
        elif here != there:
            yield path, here, there
