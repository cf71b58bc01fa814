"""The ledger: every change of meaning between the model a user trained and the program that runs.

Each pass appends; nothing edits. `--strict` refuses a ledger that is not empty.
"""

from dataclasses import asdict, dataclass


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


def to_json(ledger: Ledger) -> list[dict[str, str]]:
    """The entries as plain dictionaries, in the order they were made."""
    return [asdict(entry) for entry in ledger]


def from_json(rows: list[dict[str, str]]) -> Ledger:
    """Inverse of `to_json`."""
    return tuple(LedgerEntry(**row) for row in rows)
