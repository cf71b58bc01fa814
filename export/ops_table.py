"""What becomes of every operation on its way to the chip: one table, gathered from the code that decides.

Each part of the compiler that dispatches on a kind of thing (a snnTorch neuron, a torch layer, a tensor operation, a NIR node, a
netx layer) says beside its dispatch what it does with each, as rows. `snnfuse ops` prints them.
"""

import importlib
from dataclasses import dataclass
from typing import Literal, get_args

Decision = Literal["exact", "approximate", "refused"]

SOURCES = (
    "tracing.neurons.rows",
    "tracing.emit.layers",
    "tracing.capture.trace_ops",
    "lowering.nir_nodes",
    "netx.table",
)


@dataclass(frozen=True)
class Row:
    """The decision for one operation, or for one case of it.

    Attributes:
        group: what kind of thing it is: "snnTorch neuron", "torch layer", "operation", "NIR node", "netx layer".
        name: as users write it, for example "Leaky" or "conv2d".
        case: which arguments the row holds for; empty for all of them.
        decision: "exact", spike for spike; "approximate", with an entry in the ledger that states the effect; "refused", by name.
        how: what it becomes; for a refusal the reason.
        way_out: for a refusal, what a user does instead.
    """

    group: str
    name: str
    case: str
    decision: Decision
    how: str
    way_out: str = ""

    def __post_init__(self) -> None:
        if self.decision not in get_args(Decision):
            raise ValueError(f"{self.group} {self.name}: no decision is called {self.decision!r}")
        if self.decision == "refused" and not self.way_out:
            raise ValueError(f"{self.group} {self.name}: a refusal needs a way out")


def rows(sources: tuple[str, ...] = SOURCES) -> tuple[Row, ...]:
    """Every row, group by group: `ops_rows()` of each module that decides."""
    return tuple(row for source in sources for row in importlib.import_module(f"snnfuse.export.{source}").ops_rows())
