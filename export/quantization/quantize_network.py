"""NIR graph to Program: calibrated rounding to the integers that Loihi 2 holds."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from types import MappingProxyType

import nir
import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfuse.export.lowering.float_simulator import simulate
from snnfuse.export.lowering.legalize import legalize
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.export.lowering.pass_list import RELAYS, RESET, REST, SILENT
from snnfuse.export.lowering.passes import Watch
from snnfuse.export.quantization.agreement import compare_read, compare_runs
from snnfuse.export.quantization.board_fit import Draft, fit_to_board
from snnfuse.export.quantization.calibration_data import plain
from snnfuse.export.quantization.diagnostics import suspects
from snnfuse.export.quantization.fitting import Fit, Input
from snnfuse.export.quantization.input_bits import fewer_input_bits, levels
from snnfuse.export.quantization.layer_effects import LayerEffect, Runs, encoding_effects, layer_effect, saturation_effect
from snnfuse.export.quantization.layer_names import by_population
from snnfuse.export.quantization.layer_report import LayerReport, layer_reports
from snnfuse.export.quantization.ledger_entries import input_entries, layer_entries, read_entry
from snnfuse.export.quantization.output_distance import Distance, distance_of
from snnfuse.export.quantization.output_search import Judge, Repair, search_by_output
from snnfuse.export.quantization.population_fits import calibrate, search_all, search_samples
from snnfuse.export.quantization.reading import decision, read_as, with_stock_membranes
from snnfuse.export.quantization.reading import declared as declared_outputs
from snnfuse.export.quantization.settings import DEFAULTS, Encoding, QuantizationSettings, WeightBits
from snnfuse.export.quantization.written_inputs import Written, as_written
from snnfuse.export.targets import LAVA, Target
from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.chip import Resources
from snnfuse.hardware.errors import CalibrationWarning, InputError
from snnfuse.hardware.ir.encoding import as_inputs, to_events
from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.ir.nodes import Decoder, GradedInput, SpikeInput
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ledger import LedgerEntry
from snnfuse.hardware.overflow.observed import check_no_wrap

TUNED = "tuned without labels, as asked for"  # why, in the ledger
# A plain choice; `_mean_error` decides among them and the largest value.
INPUT_QUANTILES = (0.9999, 0.999, 0.99)  # of an analog input's magnitude, tried as the largest value that is sent unsaturated


@dataclass(frozen=True, eq=False)
class Quantized:
    """A program, and what is known of its making.

    Attributes:
        program: the integers.
        layers: a row per population.
        warnings: what calibration data or weights would spoil, a sentence each.
        resources: what the program takes of its target's board; None for a target that is not placed on one.
        distance: of its outputs from the float network's; None for no outputs.
    """

    program: Program
    layers: tuple[LayerReport, ...]
    warnings: tuple[str, ...]
    resources: Resources | None = None
    distance: Distance | None = None


def quantize(
    graph: nir.NIRGraph,
    calibration: ArrayLike | Mapping[str, ArrayLike],
    *,
    dt: float | None = None,
    reset: Reset | None = None,
    weight_bits: WeightBits = WEIGHT_BITS,
    input_bits: int | None = None,
    max_groups: int = 2,
    decoder: Decoder | None = None,
    num_classes: int | None = None,
    output: str | None = None,
    encode: Encoding = "spikes",
    watch: Watch | None = None,
) -> Program:
    """Turn a float graph into integers, choosing scales by the spikes they keep on calibration data.

    Args:
        graph: NIR graph of standard primitives.
        calibration: float (time, batch, *shape), or {input name: such an array}, like the data the network will see. An input that holds
            only 0 and 1 is declared binary; any other is declared graded, with `input_bits` bits and the scale of least mean error. Or a
            torch Dataset of (input, label), (time, *shape) each, or a DataLoader of batches (time, batch, *shape), of which the first 256
            samples are taken.
        dt: seconds per step; by default the graph's own, or 1e-4.
        reset: makes every spiking population reset by this rule, with the measured effect in the ledger; by default each keeps its own.
        weight_bits: 1..8, or {population: such a number, or a pair (excitatory, inhibitory)}; those not named have 8. A pair gives each
            sign groups of its own; a number does so where that pays, and always at 1 bit, which cannot mix signs.
        input_bits: 2..24, payload of a graded input with its sign; by default 12, or fewer where the weights behind it would lose more.
        max_groups: groups in which one weight may be stored, 1 or more; a further one is used only where one loses too many spikes.
        decoder: how outputs are read: "spike_count", "first_spike", "membrane_sum", "membrane_last" or "membrane_max"; by default spike
            count, and the sum of what reads a membrane.
        num_classes: of a population code: so many groups of output neurons in a row, each a class.
        output: of several the one that classes are read from; by default the only one, or the first of those that read the same neurons.
        encode: "bias" writes static inputs into the bias registers of the first layer, once per sample, in place of sending them as graded
            "spikes" on every step; the host computes that layer.
        watch: called after every pass of `snnfuse.export.passes` with its name and the graph or float network that it gave.

    Returns:
        Program whose ledger lists every change of meaning with its effect on the calibration data.

    Warns:
        CalibrationWarning: of data or weights that cannot be quantized well: a layer that never or always spikes, or loses nearly all its
            spikes, weights or values a thousand times the median.

    Raises:
        InputError: calibration data is empty, not finite or of another shape; a setting is out of range.
        UnsupportedError: the graph holds something that cannot be kept, or a current wraps on the calibration data.
    """
    settings = QuantizationSettings(dt, reset, weight_bits, input_bits, max_groups, decoder, num_classes, output, encode)
    return quantize_measured(graph, calibration, settings, watch=watch).program


def quantize_measured(
    graph: nir.NIRGraph,
    calibration: ArrayLike | Mapping[str, ArrayLike],
    settings: QuantizationSettings = DEFAULTS,
    target: Target = LAVA,
    declared: Mapping[str, Input] = MappingProxyType({}),
    watch: Watch | None = None,
    repair: Repair | None = None,
) -> Quantized:
    """`quantize`, with what it came to in every layer.

    Args:
        graph, calibration: as of `quantize`.
        settings: how to round.
        target: what the program is for, whose board's limits shape it.
        declared: inputs that are taken as they are there, not as the data suggests.
        watch: as of `quantize`.
        repair: of what rounding lost, as `snnfuse.nn.tuning.tune`; recorded in the ledger with its gain.

    Raises:
        InputError, UnsupportedError: as of `quantize`; UnsupportedError for neurons of a tier that the target does not run.
        DoesNotFitError: the target's board cannot hold it, not even with fewer groups or with relays.
    """
    made = _made(graph, calibration, settings, target, declared, watch)
    found = made.quantized
    fewer = fewer_input_bits(found.program, settings.payload_bits) if settings.input_bits is None else None
    if fewer is not None:
        other = _made(graph, calibration, replace(settings, input_bits=fewer), target, declared, watch)
        made = other if _wrong(other.quantized) < _wrong(found) else made
    found = made.quantized if repair is None else made.repaired(repair).quantized
    for text in found.warnings:
        warnings.warn(text, CalibrationWarning, stacklevel=3)
    return found


def _wrong(found: Quantized) -> int:
    """Spikes of all layers that differ from the float network's."""
    return sum(layer.mismatches or 0 for layer in found.layers)


@dataclass(frozen=True, eq=False)
class _Made:
    """A program in the making, and the calibration data, float by input, of which a host may have made a first layer's currents."""

    draft: Draft
    written: Written

    @property
    def x(self) -> Mapping[str, NDArray]:
        """By input of the draft."""
        return self.written.x

    @cached_property
    def quantized(self) -> Quantized:
        """The program, measured."""
        found = with_effects(self.draft.context.network, self.draft.program, self.x, self.draft.fits)
        return replace(found, program=self.written.finished(found.program), resources=self.draft.resources)

    def repaired(self, repair: Repair) -> "_Made":
        """With other integers, and an entry that says what they bring."""
        draft, samples = self.draft, next(iter(self.x.values())).shape[1]
        judge = Judge(draft.context, draft.asked, np.arange(samples))
        fits = {**draft.fits, **repair(judge, draft.fits)}
        changed = [name for name, fit in fits.items() if fit is not draft.fits[name]]
        gain = f"{judge.distance(draft.fits)} before, {judge.distance(fits)} after, on {samples} samples"
        what = f"weights of {', '.join(changed)} tuned towards the float network" if changed else "tuning brought nothing"
        name = next(iter(draft.context.network.outputs.values()))
        return replace(self, draft=replace(draft, fits=fits).noted(name, what, TUNED, gain))


def _made(
    graph: nir.NIRGraph,
    calibration: ArrayLike | Mapping[str, ArrayLike],
    settings: QuantizationSettings,
    target: Target,
    declared: Mapping[str, Input],
    watch: Watch | None,
) -> _Made:
    network, x, inputs = prepare(graph, calibration, settings, target, declared, watch=watch)
    written = as_written(network, x, inputs) if settings.encode == "bias" else Written(network, x, inputs, {}, {})
    context = replace(calibrate(written.network, written.x, written.inputs), settled=written.fits)
    settings = by_population(graph, network, settings)
    fits = search_by_output(context, search_all(context, settings, target), settings.reading)
    return _Made(fit_to_board(Draft(context, fits, target, settings.reading)), written)


def prepare(
    graph: nir.NIRGraph,
    calibration: ArrayLike | Mapping[str, ArrayLike],
    settings: QuantizationSettings,
    target: Target = LAVA,
    declared: Mapping[str, Input] = MappingProxyType({}),
    relays: bool = True,
    watch: Watch | None = None,
) -> tuple[Network, dict[str, NDArray], dict[str, Input]]:
    """What is to be rounded: the float network in the target's terms, with its changes of meaning so far in its ledger, the calibration
    data by input, and the inputs as `declared`, or else as that data declares them; with graded relays where they pay, unless told
    otherwise. Arguments and errors as of `quantize_measured`.
    """
    network, bits = read_as(lower(graph, settings.dt, watch), settings.reading), min(settings.payload_bits, target.payload_bits)
    x = as_inputs({name: SpikeInput(shape) for name, shape in network.inputs.items()}, plain(calibration, tuple(network.inputs)))
    inputs = {
        name: declared.get(name) or declare_input(array, network.inputs[name], bits, settings.input_bits is None)
        for name, array in x.items()
    }
    if relays:
        network = RELAYS(network, target, [name for name, node in inputs.items() if not node.sends_numbers], watch=watch)
    if settings.reset is not None:
        name = decision(network, settings.reading)
        decides = None if name is None else (name, declared_outputs(network, settings.reading)[name])
        network = RESET(network, settings.reset, x, target, decides, watch=watch)
    network = REST(legalize(with_stock_membranes(network, settings.reading, target), target, watch), x, watch=watch)
    network = SILENT(network, {name: node.limit * node.scale for name, node in inputs.items()}, watch=watch)
    _check_not_silent(x)
    return network, x, inputs


def _check_not_silent(x: Mapping[str, NDArray]) -> None:
    for name, array in x.items():
        if not array.any():
            raise InputError(f"input {name!r} is 0 on all calibration data; give data like what the network will see")


def declare_input(x: NDArray, shape: tuple[int, ...], bits: int, fewer: bool = True) -> Input:
    """Binary if the data is. Otherwise graded: values on a grid exactly, in no more bits than it takes if `fewer`; others with the scale of
    least mean error among those that saturate few values or none.

    An outlier's error counts as no more than a usual value: one bad reading must not cost all others their digits.
    """
    if ((x == 0) | (x == 1)).all():
        return SpikeInput(shape)
    magnitudes, limit = np.abs(x[x != 0]), 2 ** (bits - 1) - 1
    if (number := levels(magnitudes, limit)) is not None:
        scale = float(magnitudes.max()) / number
        return GradedInput(shape, max(2, number.bit_length() + 1), scale) if fewer else GradedInput(shape, bits, scale / (limit // number))
    largest, *lower = np.quantile(magnitudes, (1.0, *INPUT_QUANTILES)).tolist()
    nodes = [GradedInput(shape, bits, top / limit) for top in (largest, *lower)]
    return min(nodes, key=lambda node: _mean_error(node, x, at_most=lower[-1]))


def _mean_error(node: GradedInput, x: NDArray, at_most: float) -> float:
    error = np.abs(np.clip(np.rint(x / node.scale), -node.limit, node.limit) * node.scale - x)
    return float(np.minimum(error, at_most).mean())


def with_effects(network: Network, program: Program, x: Mapping[str, NDArray], fits: Mapping[str, Fit]) -> Quantized:
    """The program with what rounding changed, measured from end to end, in its ledger."""
    events = to_events(program.inputs, x)
    recording = emulate(program, events, "all", states=True)
    peaks = check_no_wrap(program, events, recording)
    run = simulate(network, x, voltages=False)
    runs, time, batch = Runs(network, program, x, run, recording), *next(iter(x.values())).shape[:2]
    entries: list[LedgerEntry] = []
    for name, node in program.inputs.items():
        entries += input_entries(name, node, x[name], partial(encoding_effects, runs, name))
    layers, effects = compare_runs(network, program, run, recording), dict[str, LayerEffect]()
    for name, layer in ((layer.node, layer) for layer in layers):
        if not network.populations[name].counts:  # the others are exact, whatever arrives
            effects[name] = layer_effect(runs, name, search_samples(network, name, time, batch))
            entries += layer_entries(network, layer, effects[name], fits[name], partial(saturation_effect, runs, name), peaks.get(name))
    entries += [read_entry(each, fits[each.node]) for each in compare_read(network, program, run, recording)]
    read = {output.node for output in program.outputs.values() if output.reads_membrane}
    found = (*network.warnings, *suspects(network, x, program.inputs, run, fits, recording, read))
    distance = distance_of(network, program, run, recording) if program.outputs else None
    return Quantized(program.with_ledger(*entries), layer_reports(layers, fits, peaks, recording, effects), found, distance=distance)
