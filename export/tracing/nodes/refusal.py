"""How the compiler refuses: one line that says where, why, and what to do instead."""

from dataclasses import dataclass

from snnfuse.hardware.errors import UnsupportedError

USABLE = "use Linear, Conv2d, BatchNorm, AvgPool2d, MaxPool2d, Flatten, Dropout, Leaky, Synaptic, + and torch.cat"


class Refusal(UnsupportedError):
    """The error for something that NIR cannot express; `where`, `reason` and `way_out` are the parts of its message."""

    def __init__(self, where: str, reason: str, way_out: str) -> None:
        super().__init__(f"{where}: {reason}; {way_out}")
        self.where, self.reason, self.way_out = where, reason, way_out


@dataclass(frozen=True)
class Refused:
    """Why something is not exported, and what to do instead."""

    reason: str
    way_out: str

    def at(self, where: str) -> Refusal:
        """Return the error for a module path or operation."""
        return Refusal(where, self.reason, self.way_out)


def refusal(where: str, reason: str, way_out: str) -> Refusal:
    """The error for something that NIR cannot express with its meaning.

    Args:
        where: module path or operation, for instance "fc1 (Linear)".
        reason: what cannot be kept.
        way_out: what the user can write instead.
    """
    return Refusal(where, reason, way_out)
