"""What an inference costs on a chip, modelled from the spikes of real inputs: energy, time, operations. Always a range."""

from snnfuse.hardware.energy.activity import Activity, Link, Population, measure
from snnfuse.hardware.energy.constants import MODELLED, Constant, Range
from snnfuse.hardware.energy.metrics import Metrics
from snnfuse.hardware.energy.models import Estimate, calibrated, cpu_uj, loihi1, macs
from snnfuse.hardware.energy.report import Energy, energy_of, estimate_energy

__all__ = [
    "MODELLED",
    "Activity",
    "Constant",
    "Energy",
    "Estimate",
    "Link",
    "Metrics",
    "Population",
    "Range",
    "calibrated",
    "cpu_uj",
    "energy_of",
    "estimate_energy",
    "loihi1",
    "macs",
    "measure",
]
