"""The ledger: every change of meaning between the model a user trained and the program that runs.

Each pass appends; nothing edits. `--strict` refuses a ledger that is not empty.
"""

from dataclasses import asdict, dataclass

from snnfuse.hardware.shown import Summarised, Summary


@dataclass(frozen=True)
class LedgerEntry:
    """One change of meaning.

    Attributes:
        node: the layer or node it concerns, as named in the graph.
        change: what is different now.
        reason: why it had to be.
        effect: its measured effect, with the data it was measured on; empty where nothing was measured.
    """

    node: str
    change: str
    reason: str
    effect: str = ""


Ledger = tuple[LedgerEntry, ...]


class Entries(tuple[LedgerEntry, ...], Summarised):
    """A ledger that shows itself as a table; as a tuple, any other."""

    def summary(self) -> Summary:
        """A row per entry."""
        rows = [(e.node, e.change, e.reason, e.effect or "not measured") for e in self]
        title = f"Ledger: {len(rows)} changes of meaning" if rows else "Ledger: empty, nothing changed its meaning"
        return Summary(title, (), ("node", "what changed", "because", "measured effect"), rows)

    __repr__ = Summarised.__repr__


def to_json(ledger: Ledger) -> list[dict[str, str]]:
    """The entries as plain dictionaries, in the order they were made."""
    return [asdict(entry) for entry in ledger]


def from_json(rows: list[dict[str, str]]) -> Ledger:
    """Inverse of `to_json`."""
    return tuple(LedgerEntry(**row) for row in rows)
