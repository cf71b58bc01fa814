"""What an export wrote down of its own choices: in the program's ledger, and more exactly in a bundle's report.json."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snnfuse.export.quantization.ledger_entries import CANCELLING
from snnfuse.hardware.ledger import Ledger

SCALE = re.compile(r"(?:threshold|payload) scale ([-+.e\d]+)")
BITS = re.compile(r"weights (?:trained )?in (\d+) bits(?! where)")
INPUT = re.compile(r"-bit graded spikes of ([-+.e\d]+) each")
RESET = re.compile(r"^reset (\w+) becomes (\w+)$")
SAMPLES = re.compile(r"on (\d+) samples")
TRAINED = "weights trained in "
CHOSEN = "weights in "
POOLING = re.compile(r"pool|maximum", re.I)


@dataclass(frozen=True)
class Recorded:
    """What is known of a program's making; empty where nothing was written down.

    Attributes:
        scales: K by layer, the integer threshold for theta = 1.
        is_exact: whether these have all their digits, not the six of the ledger.
        bits: of the weights, by layer; layers of two widths are left out.
        groups: synapse groups, by layer.
        input_scales: value of one unit, by analog input, to four digits.
        resets: by layer, what `--reset` made of its rule.
        samples: that calibrated it.
        trained: layers whose weights were trained in integers.
        cancelling: layers whose weights were chosen so that their errors cancel in the membrane.
        read_after_reset: layers that reset at once, because their membrane is read.
        pooled: layers whose pooling was changed on the way, with the ledger's words.
    """

    scales: Mapping[str, float] = field(default_factory=dict)
    is_exact: bool = False
    bits: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    input_scales: Mapping[str, float] = field(default_factory=dict)
    resets: Mapping[str, str] = field(default_factory=dict)
    samples: int | None = None
    trained: frozenset[str] = frozenset()
    cancelling: frozenset[str] = frozenset()
    read_after_reset: frozenset[str] = frozenset()
    pooled: Mapping[str, str] = field(default_factory=dict)


def read_recorded(ledger: Ledger, report: Mapping[str, Any] | None = None) -> Recorded:
    """What a ledger and, where there is one, a bundle's report.json say."""
    rows = list((report or {}).get("layers") or ())
    from_ledger = [int(found[1]) for entry in ledger if (found := SAMPLES.search(entry.effect))]
    calibration = (report or {}).get("calibration")
    known = calibration.get("samples") if isinstance(calibration, Mapping) else None
    widths: dict[str, int] = {row["node"]: row["bits"][0] for row in rows if row["bits"][0] == row["bits"][1]}
    return Recorded(
        scales={row["node"]: float(row["scale"]) for row in rows} or {n: float(k) for n, k in _matches(ledger, SCALE).items()},
        is_exact=bool(rows),
        bits=widths if rows else {n: int(b) for n, b in _matches(ledger, BITS).items()},
        groups={row["node"]: int(row["groups"]) for row in rows},
        input_scales={n: float(s) for n, s in _matches(ledger, INPUT).items()},
        resets={e.node: found[2] for e in ledger if (found := RESET.match(e.change))},
        samples=known if isinstance(known, int) else max(from_ledger, default=None),
        trained=frozenset(e.node for e in ledger if e.change.startswith(TRAINED)),
        cancelling=frozenset(e.node for e in ledger if e.change.startswith(CHOSEN) and CANCELLING in e.change),
        read_after_reset=frozenset(e.node for e in ledger if e.change == "its membrane is read after its reset"),
        pooled={e.node: e.change for e in ledger if POOLING.search(e.change)},
    )


def _matches(ledger: Ledger, pattern: re.Pattern[str]) -> dict[str, str]:
    """By node, what a pattern finds in the words of its change."""
    return {entry.node: found[1] for entry in ledger if (found := pattern.search(entry.change))}
