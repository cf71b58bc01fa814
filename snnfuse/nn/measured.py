"""A trained program with its ledger: in how many bits it is held, and how far its spikes are from those of the float network."""

from collections.abc import Mapping
from functools import partial

from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import simulate
from snnfuse.export.lowering.legalize import legalize
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.export.quantization.agreement import Agreement, PayloadAgreement, compare_runs
from snnfuse.export.quantization.fitting import Fit
from snnfuse.export.quantization.layer_effects import Runs, encoding_effects, saturation_effect
from snnfuse.export.quantization.ledger_entries import describe_forms, describe_groups, input_entries, saturation_entries
from snnfuse.export.quantization.reading import read_as
from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.ir.encoding import to_events
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ledger import LedgerEntry
from snnfuse.hardware.overflow.observed import check_no_wrap
from snnfuse.nn.module import FixedPointNetwork

REASON = "fine-tuned in the chip's arithmetic, so that the network fits its integers"


def measured_program(net: FixedPointNetwork, x: Mapping[str, NDArray]) -> Program:
    """The network's program, with entries for what it is beside the float network that it started from.

    Args:
        net: in chip arithmetic.
        x: float inputs (time, batch, *shape) by name, on which both are measured.

    Raises:
        UnsupportedError: a current wraps on these inputs.
    """
    program, fits = net.program(), {layer.name: layer.fit() for layer in net.layers}
    events = to_events(program.inputs, x)
    recording = emulate(program, events, "all", states=True)
    peaks = check_no_wrap(program, events, recording)
    original = legalize(read_as(lower(net.graph, net.network.dt), net.asked))
    run, entries = simulate(original, x), list[LedgerEntry]()
    runs = Runs(original, program, x, run, recording)
    for name, node in program.inputs.items():
        entries += input_entries(name, node, x[name], partial(encoding_effects, runs, name))
    for layer in compare_runs(original, program, run, recording):
        saturated = saturation_entries(layer.node, partial(saturation_effect, runs, layer.node), peaks.get(layer.node))
        entries += [_entry(layer, fits[layer.node]), *saturated]
    return program.with_ledger(*entries)


def _entry(layer: Agreement, fit: Fit) -> LedgerEntry:
    scale = "payload" if isinstance(layer, PayloadAgreement) else "threshold"
    change = f"weights trained in {describe_forms(fit)}, {describe_groups(fit)}, {scale} scale {fit.scale:.6g}"
    return LedgerEntry(layer.node, change, REASON, f"against the float network before fine-tuning: {layer.effect}")
