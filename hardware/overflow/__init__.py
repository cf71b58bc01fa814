"""The overflow proof: whether any input can make a state of a program leave its register."""

from snnfuse.hardware.overflow.intervals import state_bounds, sums_over_time
from snnfuse.hardware.overflow.lif import StateBounds
from snnfuse.hardware.overflow.proof import Verdict, counts, prove
from snnfuse.hardware.overflow.report import to_json, witness_events
from snnfuse.hardware.overflow.witness import Witness, find_witness

__all__ = [
    "StateBounds",
    "Verdict",
    "Witness",
    "counts",
    "find_witness",
    "prove",
    "state_bounds",
    "sums_over_time",
    "to_json",
    "witness_events",
]
