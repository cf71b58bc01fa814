"""How each neuron's rule is read from its module: the part in which they differ."""

import nir
import numpy as np
import torch
from snntorch import Alpha, Lapicque, Leaky, RLeaky, RSynaptic, SpikingNeuron, Synaptic
from torch import nn

from snnfuse.export.lowering.alpha import AlphaNeurons
from snnfuse.export.tracing.neurons.rule import (
    RESET_CODES,
    Rule,
    check_reset,
    decay,
    graded,
    is_graded,
    parameter,
    reset_rule,
    threshold,
)  # fmt: skip
from snnfuse.export.tracing.nodes.pieces import Array, array, expanded
from snnfuse.export.tracing.nodes.refusal import Refused, refusal
from snnfuse.export.tracing.nodes.torch_layers import lower_conv, lower_linear, weighted
from snnfuse.hardware.errors import InputError

Shape = tuple[int, ...]
SLOW_BETA = Refused("its beta is not below its alpha, so that its membrane has no finite scale or turns round", "keep beta below alpha")
GRADED_ALPHA = Refused("its graded_spikes_factor was set, which its constructor does not take", "leave it at 1")
LONG_STEP = Refused(
    "its time_step is longer than R C, so that what is left of the membrane, 1 - time_step/(R C), is no fraction",
    "use a larger beta, R or C, or a shorter time_step",
)
NO_IMMEDIATE_RESET = Refused(
    "snnTorch 1.0's RSynaptic fails with reset_delay=False where it holds its states, and ignores it where they are passed",
    "use reset_delay=True",
)


def read_leaky(path: str, neuron: Leaky, shape: Shape, where: str) -> Rule:
    """V = beta V + I. Its delayed reset to zero takes the old membrane only: the same spikes as an immediate one."""
    return _rule(path, neuron, shape, where, decay(path, neuron, "beta", shape))


def read_synaptic(path: str, neuron: Synaptic, shape: Shape, where: str) -> Rule:
    """i = alpha i + I; V = beta V + i. Its delayed reset to zero drops all of the next membrane, i included."""
    beta, alpha = (decay(path, neuron, name, shape) for name in ("beta", "alpha"))
    return _rule(path, neuron, shape, where, beta, alpha=alpha, drops=True)


def read_lapicque(path: str, neuron: Lapicque, shape: Shape, where: str) -> Rule:
    """V = I dt/C + (1 - dt/(R C)) V: R, C and the time step run; beta was only used to set them, learned or not."""
    resistance, capacity, step = (parameter(path, neuron, name, shape) for name in ("R", "C", "time_step"))
    with np.errstate(divide="ignore", invalid="ignore"):
        beta, gain = 1 - step / (resistance * capacity), step / capacity
    if not (np.isfinite(beta) & (beta >= 0) & (beta <= 1) & (gain > 0)).all():
        raise LONG_STEP.at(where)
    return _rule(path, neuron, shape, where, beta, gain=gain, drops=True)


def read_rleaky(path: str, neuron: RLeaky, shape: Shape, where: str) -> Rule:
    """As Leaky, with recurrent(S of the step before) in the input; its delayed reset to zero drops the next input too."""
    beta, back = decay(path, neuron, "beta", shape), _recurrent(path, neuron, shape, where)
    return _rule(path, neuron, shape, where, beta, recurrent=back, drops=True)


def read_rsynaptic(path: str, neuron: RSynaptic, shape: Shape, where: str) -> Rule:
    """As Synaptic, with recurrent(S of the step before) in the input of its current."""
    if not neuron.reset_delay:
        raise NO_IMMEDIATE_RESET.at(where)
    beta, alpha = (decay(path, neuron, name, shape) for name in ("beta", "alpha"))
    back = _recurrent(path, neuron, shape, where)
    return _rule(path, neuron, shape, where, beta, alpha=alpha, recurrent=back, drops=True)


def read_alpha(path: str, neuron: Alpha, shape: Shape, where: str) -> AlphaNeurons:
    """e = alpha e + I; h = beta h - I; V = tau (e + h), whose resets act on all three one step later."""
    if is_graded(neuron):
        raise GRADED_ALPHA.at(where)
    alpha, beta = (decay(path, neuron, name, shape) for name in ("alpha", "beta"))
    if not (alpha > beta).all():
        raise SLOW_BETA.at(where)
    with torch.no_grad():  # in the module's own precision and order
        a, b = torch.log(neuron.alpha.clamp(0, 1)), torch.log(neuron.beta.clamp(0, 1))
        tau = expanded(array(a / (b - a) + 1, f"{path}'s tau_alpha"), shape, f"{path}.alpha")
    return AlphaNeurons(alpha, beta, tau, threshold(path, neuron, shape, where), np.full(shape, float(RESET_CODES[reset_rule(neuron)])))


def _rule(
    path: str, neuron: SpikingNeuron, shape: Shape, where: str, beta: Array, *, alpha: Array | None = None, gain: Array | None = None,
    drops: bool = False, recurrent: nir.NIRNode | None = None,
) -> Rule:  # fmt: skip
    check_reset(neuron, where)
    return Rule(
        alpha=alpha,
        beta=beta,
        gain=np.ones(shape) if gain is None else gain,
        theta=threshold(path, neuron, shape, where),
        reset=reset_rule(neuron),
        delayed=bool(getattr(neuron, "reset_delay", True)),
        drops=drops,
        graded=graded(path, neuron, shape),
        recurrent=recurrent,
    )


def _recurrent(path: str, neuron: RLeaky | RSynaptic, shape: Shape, where: str) -> nir.NIRNode:
    """Its recurrent map, for neurons of `shape`."""
    module, path, where = neuron.recurrent, f"{path}.recurrent", f"{where}: its recurrent layer"
    if module._forward_hooks or module._forward_pre_hooks:
        raise refusal(where, "a forward hook may change what it computes", "remove the hook")
    if type(module) not in (nn.Linear, nn.Conv2d) and type(module).__name__ != "RecurrentOneToOne":
        raise refusal(where, f"{type(module).__name__} is none that snnTorch makes", "use a Linear, a Conv2d or all_to_all=False")
    _check_returns(module, shape, where)
    if isinstance(module, nn.Linear):
        return _linear(path, module, shape, where)
    if isinstance(module, nn.Conv2d):
        return lower_conv(module, weighted(path, module), shape, where)
    return nir.Scale(expanded(array(torch.as_tensor(module.V), f"{path}.V"), shape, f"{path}.V"))


def _linear(path: str, module: nn.Linear, shape: Shape, where: str) -> nir.NIRNode:
    if len(shape) != 1:
        raise refusal(where, f"it maps the last axis of {shape}, and NIR's linear map reads a vector", "flatten before the neuron")
    return lower_linear(weighted(path, module))


def _check_returns(module: nn.Module, shape: Shape, where: str) -> None:
    """What comes back must be of the neurons' shape, or be broadcast to it by snnTorch, which NIR does not do."""
    like = next(module.parameters(), torch.zeros(0))
    try:
        with torch.no_grad():
            came = tuple(module(torch.zeros(1, *shape, dtype=like.dtype, device=like.device)).shape[1:])
    except RuntimeError as error:
        raise InputError(f"{where} fails on spikes of shape {shape}: {str(error).splitlines()[0]}") from error
    if came != shape:
        raise InputError(f"{where} makes {came} of spikes of shape {shape}; use an odd kernel, or as many features as neurons")
