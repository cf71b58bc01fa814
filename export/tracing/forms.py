"""How a model's forward takes time, found by tracing it in every way: one step per call, or all steps, first, second or last."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import nn

from snnfuse.export.tracing.capture.arguments import bind, call, input_names, root_of
from snnfuse.export.tracing.from_snntorch import DT, Traced, capture, finish
from snnfuse.export.tracing.step.step import Reading
from snnfuse.export.tracing.step.time_loop import Loop
from snnfuse.hardware.errors import InputError, SnnfuseError, UnsupportedError

Layout = Literal["step", "static", "time-first", "batch-first", "time-last"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
AXES: dict[Layout, int | None] = {"step": None, "time-first": 0, "batch-first": 1, "time-last": -1}
BATCH, OTHER_BATCH = 2, 3  # samples that are traced; another number than there are steps, so that the two are told apart
MANY = 1000  # steps of the longest loop that is looked for where the data are too short
FEWEST = 4  # steps that a forward is told to take, where nothing says how many
ADVICE = "if forward loops over time itself, say over how many: time_steps=25"


@dataclass(frozen=True)
class Form:
    """How forward takes a run.

    Attributes:
        layout: "step", one step per call; "static", a loop of its own over one input that stays; else a loop over an input with time
            first, second behind the batch, or last.
        steps: of its own loop; 1 where a call is one step.
        readings: of each value that it returns, what it is of the window.
    """

    layout: Layout = "step"
    steps: int = 1
    readings: tuple[Reading, ...] = field(default=())

    def __str__(self) -> str:
        if self.layout == "step":
            return "one time step per call"
        if self.layout == "static":
            return f"one input for all of its {self.steps} time steps"
        order = {"time-first": "(time, batch, ...)", "batch-first": "(batch, time, ...)", "time-last": "(batch, ..., time)"}
        return f"{order[self.layout]}, all time steps in one call"


ONE_STEP = Form()


def find_form(
    model: nn.Module, shapes: Mapping[str, tuple[int, ...]], steps: int | None = None, layout: Layout | None = None, dt: float | None = None
) -> tuple[Traced, Form]:
    """Trace a model in the way in which its forward takes time.

    Args:
        model: traced as in evaluation.
        shapes: of one time step of one sample, by input, in forward's order where it names none.
        steps: time steps of the data; None where nobody knows, so that only one step per call, or one input for all, can be found.
        layout: the way, if it is known; None to find it out.
        dt: seconds per step; None for 1e-4.

    Raises:
        UnsupportedError, InputError: as of `to_nir`; InputError where no way fits, with the reason of the most likely one.
    """
    shapes = {name: shapes[name] for name in input_names(model) or shapes}
    problems: list[SnnfuseError] = []
    restarting: Loop | None = None
    for axis in _axes(steps, layout):
        try:
            loop = _captured(model, shapes, axis, steps)
        except SnnfuseError as problem:
            problems.append(problem)
            continue
        if loop is not None and loop.fresh and axis is None:  # it may be a loop over an axis that is not there yet
            restarting = loop
        elif loop is not None:
            return _finished(loop, axis, layout, shapes, dt)
    if restarting is not None:
        return _finished(restarting, None, layout, shapes, dt)
    refused = any(isinstance(problem, UnsupportedError) for problem in problems)
    if steps is not None and not refused and (own := _own_steps(model, shapes, layout)) is not None and own != steps:
        what = f"forward loops over {own} time steps, and the data have {steps}"
        raise InputError(f"{what}; give data of {own} steps, or let it loop over all that x has, x.size(0)")
    raise _most_likely(problems, steps, layout)


def _own_steps(model: nn.Module, shapes: Mapping[str, tuple[int, ...]], layout: Layout | None) -> int | None:
    """Over how many steps a forward loops that reads more than the data have; None where that is not the reason why it fails."""
    for axis in (axis for axis in _axes(MANY, layout) if axis is not None):
        try:
            sample = tuple(torch.zeros(1).expand(_placed(shape, axis, BATCH, MANY)) for shape in shapes.values())
            loop = capture(model, sample, MANY)
        except SnnfuseError:
            continue
        if loop.steps > 1 and loop.input_axes[0] == axis % (2 + len(next(iter(shapes.values())))):
            return loop.steps
    return None


def _axes(steps: int | None, layout: Layout | None) -> tuple[int | None, ...]:
    """Time axes to try, None for none."""
    known = AXES if layout is None else {layout: AXES.get(layout)}
    return tuple(dict.fromkeys(axis for axis in known.values() if axis is None or steps is not None))


def _captured(model: nn.Module, shapes: Mapping[str, tuple[int, ...]], axis: int | None, steps: int | None) -> Loop | None:
    """What forward does with inputs whose time is on an axis; None where it does not take them for that."""
    batch = OTHER_BATCH if steps == BATCH else BATCH
    length = FEWEST if steps in (None, 1) else steps

    def capture_of(batch: int) -> Loop:
        sample = tuple(_zeros(name, _placed(shape, axis, batch, length)) for name, shape in shapes.items())
        return capture(model, sample, steps or FEWEST)

    try:
        loop = capture_of(batch)
    except InputError:
        if axis is not None:
            raise
        loop = capture_of(1)  # some can take one sample only
    at = None if axis is None else axis % (2 + len(next(iter(shapes.values()))))
    return loop if all(found == at for found in loop.input_axes) else None


def _placed(shape: tuple[int, ...], axis: int | None, batch: int, steps: int) -> tuple[int, ...]:
    if axis is None:
        return (batch, *shape)
    return {0: (steps, batch, *shape), 1: (batch, steps, *shape), -1: (batch, *shape, steps)}[axis]


def _zeros(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    try:
        return torch.zeros(shape)
    except (RuntimeError, MemoryError, OverflowError) as error:
        raise InputError(f"input {name!r} of shape {shape[1:]} is too large for this machine's memory") from error


def _finished(
    loop: Loop, axis: int | None, layout: Layout | None, shapes: Mapping[str, tuple[int, ...]], dt: float | None
) -> tuple[Traced, Form]:
    found = finish(loop, dt or DT)
    _check_shapes(found, shapes)
    kind: Layout = next(name for name, each in AXES.items() if each == axis)
    if axis is None and loop.steps > 1:
        kind = "static"
    if layout is not None and kind != layout:
        raise InputError(f"forward takes {Form(kind, loop.steps)}, and layout={layout!r} says otherwise; leave layout out")
    return found, Form(kind, loop.steps, found.step.readings)


def _check_shapes(found: Traced, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """A forward that does not index time takes all time steps for one sample with one more axis."""
    for name, node in found.graph.inputs.items():
        if name in shapes and tuple(int(n) for n in node.input_type["input"]) != tuple(shapes[name]):
            raise UnsupportedError(f"input {name!r}: forward reads all time steps as one sample; loop over x[t] inside it")


def _most_likely(problems: list[SnnfuseError], steps: int | None, layout: Layout | None) -> SnnfuseError:
    """The reason that says most: a refusal before a shape that does not fit."""
    if not problems:
        tried = "in no way" if layout is None else f"not as {layout}"
        reason = f"forward takes time {tried}: it must read x[t] or x[:, t] in step t, of as many steps as the data have"
        return InputError(reason if steps is not None else f"{reason}; {ADVICE}")
    problem = next((p for p in problems if isinstance(p, UnsupportedError)), problems[0])
    if not isinstance(problem, InputError):
        return problem
    if layout is not None:
        return InputError(f"{problem}; it was tried as {layout} only, as layout={layout!r} says; without layout it is found out")
    return InputError(f"{problem}; {ADVICE}") if steps is None else problem


def arguments(form: Form, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
    """The inputs (time, batch, *shape) of a whole run as forward takes them, for a form that is not "step"."""
    moves = {"static": lambda x: x[0], "time-first": lambda x: x, "batch-first": lambda x: x.transpose(0, 1)}
    move = moves.get(form.layout, lambda x: x.movedim(0, -1))
    return tuple(move(x) for x in inputs.values())


def values_of(returned: Any) -> tuple[Any, ...]:
    """What forward returned, one value or several."""
    if isinstance(returned, dict):
        return tuple(returned.values())
    return returned if isinstance(returned, tuple) else (returned,)


def whole_run(model: nn.Module, inputs: Mapping[str, torch.Tensor], form: Form) -> list[Any]:
    """What a forward that takes all time steps in one call returns, a value per reading: a tensor, or a list of one per step.

    Args:
        model: called as it is, in its own mode.
        inputs: (time, batch, *shape) in the order of forward's arguments.
        form: how forward takes a run, not "step".
    """
    root, steps = root_of(model), len(next(iter(inputs.values())))
    values = values_of(call(root, bind(root, arguments(form, inputs), steps)))
    return [_at(values, reading.path or (at,)) for at, reading in enumerate(form.readings)]


def _at(values: Any, path: Iterable[Any]) -> Any:
    """What lies in tuples, lists and dictionaries at a path."""
    for key in path:
        values = values[key]
    return values
