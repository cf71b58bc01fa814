"""From float inputs to events, and from recordings to classes: the two ends that the host computes."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfuse.hardware.errors import InputError, RangeWarning, SaturationWarning
from snnfuse.hardware.ir.nodes import Input, Neuron, Output
from snnfuse.hardware.ir.recording import Recording

ENOUGH, QUARTER = 16, 0.3  # samples that tell how far an input reaches, and the share of its range, a quarter or so, that counts as little
Events = dict[str, NDArray[np.int32]]
FAR = 4.0  # times the range that was calibrated, from which on the scale seems another: a plain choice


class Interface(Protocol):
    """What encoding and decoding read of a Program."""

    @property
    def inputs(self) -> Mapping[str, Input]: ...
    @property
    def neurons(self) -> Mapping[str, Neuron]: ...
    @property
    def outputs(self) -> Mapping[str, Output]: ...
    @property
    def decides(self) -> str | None: ...


def encode(program: Interface, x: ArrayLike | Mapping[str, ArrayLike]) -> Events:
    """Float inputs to integer events, by each input's declared rule.

    Args:
        program: its inputs say binary or graded, and the scale of a graded one.
        x: float (time, batch, *shape), or {input name: such an array}; 0 and 1 only for a binary input.

    Returns:
        int32 (time, batch, *shape) per input; a graded value is round(x / scale), saturated at the payload's limit.

    Warns:
        SaturationWarning: graded values that saturate, with their number.
        RangeWarning: graded values that reach a quarter of their range at most, on 16 samples or more.

    Raises:
        InputError: an input is missing, unknown, has another shape, or holds NaN, infinities or, where binary, other values.
    """
    arrays = as_inputs(program.inputs, x, as_given=True)
    for warning in range_warnings(program.inputs, arrays):
        warnings.warn(warning, stacklevel=3)
    return to_events(program.inputs, arrays)


def unused(inputs: Mapping[str, Input], arrays: Mapping[str, NDArray]) -> dict[str, float]:
    """Which share of its range each graded input reaches, of those that reach a quarter at most on `ENOUGH` samples; not of silent ones,
    and not where no data has set the range."""
    found = {}
    for name, node in inputs.items():
        is_telling = node.sends_numbers and node.is_calibrated and arrays[name].shape[1] >= ENOUGH
        largest = float(np.abs(node.values(arrays[name])).max(initial=0)) if is_telling else 0.0
        if 0 < largest <= QUARTER * node.limit * node.scale:
            found[name] = largest / (node.limit * node.scale)
    return found


def to_events(inputs: Mapping[str, Input], arrays: Mapping[str, NDArray]) -> Events:
    """`encode` of checked inputs, without a warning."""
    return {name: node.encode(name, arrays[name]) for name, node in inputs.items()}


def range_warnings(inputs: Mapping[str, Input], arrays: Mapping[str, NDArray], is_own: bool = True) -> Iterator[Warning]:
    """Of each graded input with values beyond its range, or all far inside, a warning.

    Args:
        inputs: declared.
        arrays: (time, batch, *shape) by name, checked.
        is_own: whether they are the network's own, of which small ones tell of another scale; not so of what a host carries.
    """
    for name, count in saturated(inputs, arrays).items():
        calibrated = inputs[name].limit * inputs[name].scale
        times = float(np.abs(inputs[name].values(arrays[name])).max()) / calibrated
        far = f"; they reach {times:.3g} times that: scale them as in calibration, or calibrate on data like these" if times >= FAR else ""
        beyond = f"{count} of {arrays[name].size} values lie beyond the {calibrated:.4g} that it was calibrated for, and are cut there"
        yield SaturationWarning(f"input {name!r}: {beyond}{far}")
    for name, share in unused(inputs, arrays).items() if is_own else ():
        text = f"its values reach {share:.1%} of the range that it was calibrated for; scale them as in calibration"
        yield RangeWarning(f"input {name!r}: {text}")


def saturated(inputs: Mapping[str, Input], arrays: Mapping[str, NDArray]) -> dict[str, int]:
    """How many values of each graded input lie beyond its limit, where any does."""
    graded = {name: node for name, node in inputs.items() if node.sends_numbers}
    counts = {name: node.beyond(arrays[name]) for name, node in graded.items()}
    return {name: count for name, count in counts.items() if count}


def as_inputs(inputs: Mapping[str, Input], x: ArrayLike | Mapping[str, ArrayLike], as_given: bool = False) -> dict[str, NDArray]:
    """Name and check inputs: each (time, batch, *shape), finite, with time and batch in common; as they are given before a host has made
    something else of them, or as they reach the program."""
    if not isinstance(x, Mapping):
        if len(inputs) != 1:
            raise InputError(f"this network has {len(inputs)} inputs: give a dictionary with {', '.join(map(repr, inputs))}")
        x = {next(iter(inputs)): x}
    if set(x) != set(inputs):
        raise InputError(f"inputs must be {', '.join(map(repr, inputs))}, not {', '.join(map(repr, x)) or 'empty'}")
    arrays = {name: _as_array(name, value) for name, value in x.items()}
    for name, array in arrays.items():
        _check_input(name, inputs[name].given_shape if as_given else inputs[name].shape, array)
    sizes = {array.shape[:2] for array in arrays.values()}
    if len(sizes) > 1:
        raise InputError("inputs differ in time or batch: " + ", ".join(f"{n} {a.shape[:2]}" for n, a in arrays.items()))
    return arrays


def _as_array(name: str, value: ArrayLike) -> NDArray:
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:  # lists of different lengths; a tensor on a GPU, or with a gradient
        raise InputError(f"input {name!r} is no array: {error}") from error


def _check_input(name: str, shape: tuple[int, ...], array: NDArray) -> None:
    if array.dtype.kind not in "fiub":
        raise InputError(f"input {name!r} holds {array.dtype} values, not numbers")
    if array.ndim < 2 or array.shape[2:] != tuple(shape):
        more = _one_step(array.shape, tuple(shape))
        raise InputError(f"input {name!r} must have shape (time, batch, {', '.join(map(str, shape))}), not {array.shape}{more}")
    if 0 in array.shape[:2]:
        raise InputError(f"input {name!r} is empty: shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"input {name!r} holds NaN or infinite values")


def _one_step(found: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """A hint where the network was traced with an axis too many, as whole sequences given for one step have."""
    if len(found) == len(shape) + 1 and found[2:] == shape[1:]:
        return "; was a whole sequence given as sample when it was traced? It is ONE time step, (batch, *shape): sample=x[0]"
    return ""


def check_events(program: Interface, events: Mapping[str, NDArray]) -> Events:
    """Events as a backend takes them; InputError for floats, payloads beyond the declared width, wrong names or shapes."""
    arrays = integer_events(program, events)
    for name, node in program.inputs.items():
        (low, high), array = node.payloads, arrays[name]
        outside = array[(array < low) | (array > high)]
        if outside.size:
            raise InputError(f"events of {name!r} hold {outside.flat[0]}, outside {low}..{high}")
        if node.is_written and (array != array[:1]).any():
            raise InputError(
                f"events of {name!r} change from step to step, but a host writes them once per sample: repeat one image over all steps, or "
                "give each image as a sample of its own"
            )
    return {name: arrays[name].astype(np.int32) for name in program.inputs}


def integer_events(program: Interface, events: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """The part of `check_events` that reads no element: names, shapes and that they are integers of some kind."""
    if not program.inputs:
        raise InputError("a program without inputs has no time steps to run")
    arrays = as_inputs(program.inputs, events)
    for name, array in arrays.items():
        if array.dtype.kind not in "iub":
            raise InputError(f"events of {name!r} are {array.dtype}; backends take integers: use program.encode")
    return arrays


def positive(name: str, value: int) -> int:
    """A setting as an int; InputError unless it is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{name} must be a positive integer, not {value!r}")
    return int(value)


def scores(program: Interface, recording: Recording, output: str | None = None) -> NDArray:
    """One number per neuron of an output, (batch, *shape), or per class of a population code, (batch, classes), by its declared decoder:
    int64; float64 where voltages count from values of their own."""
    output = only_output(program, output)
    rule = program.outputs[output]
    if rule.reads_membrane and np.ptp(rule.offset):
        return decoded(rule, values(program, recording, output))
    return decoded(rule, output_values(program, recording, output))


def values(program: Interface, recording: Recording, output: str | None = None) -> NDArray[np.float64]:
    """What an output is worth on every step, in the units of the float network.

    Args:
        program: declares the outputs.
        recording: of a run of it.
        output: which; by default the only one that reads a membrane, or else the one that classes are read from.

    Returns:
        float64 (time, batch, *shape): the voltage times its unit, of neurons that fire too, before or after the reset as the float
        network has it; of an output that reads spikes 0.0 and 1.0.

    Raises:
        InputError: no such output, or a program from before units were kept.
    """
    membranes = [name for name, rule in program.outputs.items() if rule.reads_membrane]
    output = membranes[0] if output is None and len(membranes) == 1 else only_output(program, output)
    rule, found = program.outputs[output], output_values(program, recording, output)
    if not rule.reads_membrane:
        return found.astype(np.float64)
    if rule.unit is None:
        raise InputError(f"output {output!r} does not say what a unit of its voltage is worth; export the network again")
    return found * rule.unit + np.reshape(rule.offset, found.shape[2:] if np.ndim(rule.offset) else ())


def output_values(program: Interface, recording: Recording, output: str) -> NDArray:
    """What an output's decoder reduces, (time, batch, *shape): spikes, or a membrane."""
    rule = program.outputs[output]
    return membrane(program, recording, rule.node) if rule.reads_membrane else recording.spikes[output]


def membrane(program: Interface, recording: Recording, name: str) -> NDArray[np.int32]:
    """The state that stands for a population's voltage, (time, batch, *shape)."""
    state = program.neurons[name].membrane
    if state is None:
        raise InputError(f"{name!r} has no state that stands for a voltage; read its spikes")
    return recording.states[name][state]


def reduce_window(decoder: str, values: NDArray) -> NDArray:
    """(time, batch, *shape) to (batch, *shape): the rule that float and integer runs share."""
    if decoder in ("spike_count", "membrane_sum"):
        return values.sum(0, dtype=np.int64 if values.dtype.kind in "biu" else np.float64)
    if decoder == "first_spike":
        return first_spikes(values)
    return values[-1] if decoder == "membrane_last" else values.max(0)


def first_spikes(spikes: NDArray) -> NDArray[np.int64]:
    """Steps that are left of the window after a neuron's first spike; one that never fires counts as if it did on the last step.

    spikes: (time, batch, *shape). Source: `accuracy_temporal` of snnTorch 1.0, which takes the least time.
    """
    fired = spikes != 0
    return np.where(fired.any(0), len(spikes) - 1 - fired.argmax(0), 0)


def decoded(rule: Output, values: NDArray) -> NDArray:
    """Scores (batch, *shape), or (batch, classes) of a population code, of what an output reads, (time, batch, *shape)."""
    return by_class(rule, reduce_window(rule.decoder, values))


def by_class(rule: Output, reduced: NDArray) -> NDArray:
    """The scores of neurons, (batch, *shape), as those of classes where groups of neurons stand for one."""
    if rule.num_classes is None:
        return reduced
    groups = reduced.reshape(len(reduced), rule.num_classes, -1)
    return groups.max(-1) if rule.decoder == "first_spike" else groups.sum(-1)


def decode(program: Interface, recording: Recording, output: str | None = None) -> NDArray[np.int64]:
    """Classes (batch,): the neuron, or group of neurons, with the highest score, ties to the lowest index."""
    found = scores(program, recording, output)
    return found.reshape(len(found), -1).argmax(1)


def only_output(program: Interface, output: str | None) -> str:
    if output is None:
        if program.decides is None:
            raise InputError(f"this program has {len(program.outputs)} outputs: name one of {', '.join(program.outputs)}")
        return program.decides
    if output not in program.outputs:
        raise InputError(f"no output {output!r}; this program has {', '.join(program.outputs)}")
    return output
