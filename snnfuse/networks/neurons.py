"""The snnTorch neurons that the networks are made of, and how a network is run over time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn

from snnfuse.hardware.errors import InputError
from snnfuse.networks import detached
from snnfuse.networks.accumulator import Accumulator
from snnfuse.networks.checks import check_above_zero, check_flag, check_share
from snnfuse.networks.own_forms import form_of, is_own, run_at_once
from snnfuse.networks.stages import Staged, Tensors, run_stages

STATES = ("mem", "syn")  # the state tensors of snntorch.Leaky and snntorch.Synaptic
RESETS = ("zero", "subtract")
SURROGATES: dict[str, Callable[..., Any]] = {"fast-sigmoid": surrogate.fast_sigmoid, "sigmoid": surrogate.sigmoid}


@dataclass(frozen=True)
class Neuron:
    """How every spiking layer of a network behaves.

    Attributes:
        beta: decay of the membrane per step, in [0, 1).
        alpha: decay of the synaptic current per step, in [0, 1), or None for a neuron without one (Leaky).
        threshold: fires strictly above it.
        reset: "zero" or "subtract".
        reset_delay: the reset acts one step after the spike (snnTorch's default) instead of at once. Without the delay, reset
            to zero is what Loihi 2's neuron does.
        slope: steepness of the surrogate gradient.
        surrogate: "fast-sigmoid", 1 / (1 + slope |v - threshold|)^2 (Zenke and Ganguli 2018); or "sigmoid", the derivative of
            sigma(slope (v - threshold)).
        detach: no gradient flows through the membrane from one step to the next. For the sigmoid surrogate and a Leaky that resets to
            zero at once; `run_folded` then needs no loop for gradients.
    """

    beta: float = 0.85
    alpha: float | None = None
    threshold: float = 1.0
    reset: str = "zero"
    reset_delay: bool = False
    slope: float = 5.0
    surrogate: str = "fast-sigmoid"
    detach: bool = False

    def __post_init__(self) -> None:
        check_share("beta", self.beta)
        if self.alpha is not None:
            check_share("alpha", self.alpha)
        for name in ("threshold", "slope"):
            check_above_zero(name, getattr(self, name))
        for name in ("reset_delay", "detach"):
            check_flag(name, getattr(self, name))
        if self.reset not in RESETS:
            raise InputError(f"reset must be one of {', '.join(RESETS)}, not {self.reset!r}")
        if self.surrogate not in SURROGATES:
            raise InputError(f"surrogate must be one of {', '.join(SURROGATES)}, not {self.surrogate!r}")
        if self.detach and (self.alpha, self.reset, self.reset_delay, self.surrogate) != (None, "zero", False, "sigmoid"):
            raise InputError("detach is for a neuron without synaptic current that resets to zero at once, with the sigmoid surrogate")

    def layer(self) -> nn.Module:
        """A layer of such neurons that keeps its own state; input and output (batch, *shape)."""
        common = {
            "threshold": self.threshold,
            "reset_mechanism": self.reset,
            "reset_delay": self.reset_delay,
            "spike_grad": SURROGATES[self.surrogate](slope=self.slope),
            "init_hidden": True,
        }
        made: Any = snntorch.Leaky(self.beta, **common) if self.alpha is None else snntorch.Synaptic(self.alpha, self.beta, **common)
        if self.detach:
            made.detached_slope = self.slope  # what `run` and `run_folded` know it by
        return made


def reset(model: nn.Module) -> None:
    """Bring every neuron and accumulator to rest, for a new sample: an empty state takes the shape of the next input and is zero."""
    for module in model.modules():
        if isinstance(module, Accumulator):
            module.reset()
        if isinstance(module, snntorch.SpikingNeuron):
            for name in STATES:
                if (state := getattr(module, name, None)) is not None:
                    setattr(module, name, torch.zeros(0, device=state.device))


def input_names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of what a network reads, in the order of its arguments: its own `inputs`, or what its forward requires.

    Raises:
        InputError: it does not say, as a forward(*inputs) does not.
    """
    from snnfuse.export.tracing.capture.arguments import input_names as names

    named = names(model)
    if not named:
        raise InputError(f'{type(model).__name__} does not say what it reads: give it an attribute such as inputs = ("image", "audio")')
    return named


def run(model: nn.Module, *inputs: Tensor) -> Tensors:
    """Run a network over time, from rest: a one-step network step by step, a `Staged` one stage by stage, a user's own whose forward goes
    through time itself in one call (`snnfuse.networks.own_forms`).

    inputs: in the order of forward's arguments, of a `Staged` network in that of its `inputs`, (time, batch, *shape) each. Returns:
        (time, batch, *output shape), a tuple of such where a step returns several outputs; of what goes through time itself the first.

    Raises:
        InputError: no input, inputs of different time or batch, or more steps than the network's `longest`; of a
            `Staged` network also as of `check_stages`; of a user's own as of `form_of`.
        UnsupportedError: likewise.
    """
    _check(model, inputs)
    if isinstance(model, Staged) or not is_own(model) or not (own := form_of(model, _named(model, inputs))).at_once:
        return run_steps(model, *inputs)
    reset(model)
    found = run_at_once(model, _named(model, inputs), own)
    reset(model)  # so that no state outlives the run: it would be saved, moved and kept alive with the model
    return found


def run_steps(model: nn.Module, *inputs: Tensor) -> Tensors:
    """`run` of a network of one step per call, as every stage is."""
    _check(model, inputs)
    if isinstance(model, Staged):
        return run_stages(model, inputs, run_steps)
    reset(model)
    steps = [_step(model, step) for step in zip(*inputs, strict=True)]
    reset(model)
    return _joined(torch.stack, steps)


def goes_through_time(model: nn.Module, *inputs: Tensor) -> bool:
    """Whether a forward takes all time steps in one call, which only a user's own does; inputs and errors as of `run`."""
    return is_own(model) and form_of(model, _named(model, inputs)).at_once


def _named(model: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
    return dict(zip(input_names(model), inputs, strict=True))


def _joined(join: Callable[[list[Tensor]], Tensor], steps: list[Tensors]) -> Tensors:
    """One tensor of all steps, or one for each of several outputs."""
    if isinstance(steps[0], Tensor):
        return join(cast("list[Tensor]", steps))  # every step has the outputs of the first
    return tuple(join(list(values)) for values in zip(*steps, strict=True))


def _values(returned: Any) -> Tensors:
    """What forward returned, without names."""
    return returned if isinstance(returned, Tensor) else tuple(returned.values() if isinstance(returned, dict) else returned)


def _step(model: nn.Module, inputs: tuple[Tensor, ...]) -> Tensors:
    outputs = _values(model(*inputs))
    modules: Iterator[Any] = model.modules()
    for module in modules:
        if hasattr(module, "detached_slope"):
            module.mem = module.mem.detach()
    return outputs


def _check(model: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[int, int]:
    """(time, batch) that all inputs share; a network that counts up to a bound says by `longest` for how many steps it may be run."""
    if not inputs or len({x.shape[:2] for x in inputs}) != 1:
        shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
        raise InputError(f"inputs must share (time, batch), but are of shape {shapes or 'nothing'}")
    time, batch = inputs[0].shape[:2]
    if time > getattr(model, "longest", time):
        raise InputError(f"{type(model).__name__} is made for {model.longest} time steps at most, and is given {time}")
    return time, batch


@contextmanager
def _looping(model: nn.Module, time: int) -> Iterator[None]:
    """Let every layer with a state take (time * batch, *shape) and go through time by itself."""
    layers = [module for module in model.modules() if isinstance(module, (snntorch.SpikingNeuron, Accumulator))]
    try:
        for layer in layers:
            layer.__dict__["forward"] = partial(_through_time(layer), time)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)


def _through_time(layer: Any) -> Callable[[int, Tensor], Tensors]:
    """A layer with a state, over all steps at once."""
    if isinstance(layer, Accumulator):
        return layer.folded
    if hasattr(layer, "detached_slope"):
        return partial(detached.folded, layer, layer.detached_slope)
    return partial(_loop, layer.forward)


def _loop(step: Callable[[Tensor], Tensors], time: int, folded: Tensor) -> Tensors:
    return _joined(torch.cat, [step(x) for x in folded.chunk(time)])


def run_folded(model: nn.Module, *inputs: Tensor) -> Tensors:
    """What `run` does, layer by layer instead of step by step: faster, and batch norm sees all steps at once, as it will when
    folded.

    Only for networks of one step per call whose neurons and accumulators are their only memory, without recurrent connections. Shapes and
    errors as of `run`; each layer is given (time * batch, *shape), so sums may be rounded differently from `run`'s.
    """
    time, batch = _check(model, inputs)
    if isinstance(model, Staged):
        return run_stages(model, inputs, run_folded)
    reset(model)
    with _looping(model, time):
        outputs = _values(model(*[x.flatten(0, 1) for x in inputs]))
    reset(model)
    if isinstance(outputs, Tensor):
        return outputs.unflatten(0, (time, batch))
    return tuple(output.unflatten(0, (time, batch)) for output in outputs)


def decode(spikes: Tensor) -> Tensor:
    """Class per sample, int64 (batch,): the most spikes in (time, batch, classes); ties go to the lowest index."""
    counts = spikes.detach().sum(dim=0)
    best = counts == counts.max(dim=1, keepdim=True).values
    return torch.from_numpy(best.cpu().numpy().argmax(axis=1))  # NumPy promises the first maximum, torch.argmax does not
