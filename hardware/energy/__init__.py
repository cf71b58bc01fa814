"""What an inference costs on a chip, modelled from the spikes of real inputs: energy, time, operations. Always with an interval."""

from snnfuse.hardware.energy.activity import Activity, Busiest, Link, Population, measure
from snnfuse.hardware.energy.constants import CATALOGUE, MODELLED, Constant, Range
from snnfuse.hardware.energy.metrics import Metrics
from snnfuse.hardware.energy.models import Estimate, cpu_uj, free_running, host_fed, loihi1, macs
from snnfuse.hardware.energy.report import Energy, energy_of, estimate_energy

__all__ = [
    "CATALOGUE",
    "MODELLED",
    "Activity",
    "Busiest",
    "Constant",
    "Energy",
    "Estimate",
    "Link",
    "Metrics",
    "Population",
    "Range",
    "cpu_uj",
    "energy_of",
    "estimate_energy",
    "free_running",
    "host_fed",
    "loihi1",
    "macs",
    "measure",
]
