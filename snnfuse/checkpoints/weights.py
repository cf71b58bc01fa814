"""Weights as people have them: found in what a file holds, and given to the model by the names that it has for them.

Training frameworks wrap: DataParallel writes `module.fc.weight`, torch.compile `_orig_mod.fc.weight`, Lightning the name of its attribute,
`model.fc.weight`, beside what its own modules hold. snnTorch's older versions left a neuron's state among the weights (`lif1.mem`) and
wrote fewer settings than newer ones. None of that is a difference between networks, so none of it is refused; weights that a network
lacks, or that it has in another shape, are.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import snntorch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import is_lazy

from snnfuse.checkpoints.torch_file import some
from snnfuse.hardware.errors import CheckpointWarning, InputError

HOLDERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params")
WRAPPERS = ("module", "_orig_mod")  # names that DataParallel and torch.compile give what they wrap, at any depth
STATES = {"mem", "syn", "spk", "syn_exc", "syn_inh", "reset", "state_fn"}  # of snnTorch's neurons, in some versions among the buffers
SETTINGS = {"threshold", "beta", "alpha", "time_step", "R", "C"}  # buffers that change what a neuron computes
COUNTERS = {"num_batches_tracked"}


def find_weights(content: Any, path: Path) -> dict[str, Tensor]:
    """Return the state_dict of a file that goes with a model: bare, or what a dict holds under one of `HOLDERS`, at any depth.

    Raises:
        InputError: there is none.
    """
    if is_state_dict(content):
        return dict(content)
    if isinstance(content, Mapping):
        for key in HOLDERS:
            if isinstance(content.get(key), Mapping) and content[key]:
                return find_weights(content[key], path)
    refuse_content(content, path)


def is_state_dict(content: Any) -> bool:
    """Return True for a dict of tensors by name."""
    return isinstance(content, Mapping) and bool(content) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    )  # fmt: skip


def refuse_content(content: Any, path: Path) -> NoReturn:
    """Raise InputError: a file does not hold weights."""
    what = f"a {type(content).__name__}"
    if isinstance(content, Mapping):
        what = f"a dict of {some([str(key) for key in content])}" if content else "an empty dict"
    raise InputError(f"{path}: holds {what}, not a state_dict; write it with torch.save(model.state_dict(), path)")


def fill(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> nn.Module:
    """Load weights into a model; every parameter must be there, in its shape.

    Args:
        model: changed, and returned.
        weights: by the names of any wrapper of the model.
        path: of their file, for the errors.

    Raises:
        InputError: weights are missing, left over, or of another shape; names them.

    Warns:
        CheckpointWarning: of what belongs to a wrapper, and is left out; of settings of neurons that the file lacks.
    """
    own = model.state_dict()
    weights = _named_as(own, weights, path)
    states = _states(model)
    weights = {name: value for name, value in weights.items() if name in own or name not in states}
    weights |= {name: own[name] for name in _kept(model, own, weights, path)}
    wrong = [
        f"{name} {tuple(value.shape)} for {tuple(own[name].shape)}"
        for name, value in weights.items()
        if name in own and not is_lazy(own[name]) and value.shape != own[name].shape
    ]
    missing, extra = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    problems = [f"{what} {some(names)}" for what, names in (("missing", missing), ("unexpected", extra), ("wrong shape", wrong)) if names]
    if problems:
        raise InputError(f"{path}: its weights do not fit {type(model).__name__}: {'; '.join(problems)}")
    model.load_state_dict(weights)
    for module in model.modules():
        if isinstance(module, LazyModuleMixin) and not any(map(is_lazy, module.parameters())):
            _settle(module)
    return model


def _settle(module: Any) -> None:
    """Make a lazy layer that has its weights the ordinary one that its first forward would make of it."""
    weight = module.weight
    plain = "Transpose" in type(module).__name__ or weight.ndim == 1
    channels = weight.shape[0] if plain else weight.shape[1] * getattr(module, "groups", 1)
    for name in ("in_features", "in_channels", "num_features"):
        if getattr(module, name, None) == 0:
            setattr(module, name, int(channels))
    module._initialize_hook.remove()
    module._load_hook.remove()
    del module._initialize_hook, module._load_hook
    module.__class__ = module.cls_to_become


def _named_as(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the weights by the model's names, without what belongs to the module that wrapped it."""
    if not own.keys() - weights.keys():
        return dict(weights)
    weights = {_unwrapped(name, own): value for name, value in weights.items()}
    prefix = _prefix(own, weights)
    if not prefix:
        return weights
    left = sorted(name for name in weights if not name.startswith(prefix))
    if left:
        text = f"{path}: takes the weights under {prefix!r} and leaves out {some(left)}, which belong to what wrapped the network"
        warnings.warn(text, CheckpointWarning, stacklevel=4)
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def _unwrapped(name: str, own: Mapping[str, Tensor]) -> str:
    """Return a name without the parts that wrappers added, unless the model has them itself."""
    parts = [part for part in name.split(".") if part not in WRAPPERS]
    return name if name in own else ".".join(parts)


def _prefix(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """Return what most of the model's names follow in the file, "" where that is nothing; of equals the shortest."""
    counts = {"": sum(name in own for name in weights)}
    for name in weights:
        for start in (i + 1 for i, c in enumerate(name) if c == "."):
            if name[start:] in own:
                counts[name[:start]] = counts.get(name[:start], 0) + 1
    return min(counts, key=lambda prefix: (-counts[prefix], len(prefix)))


def _states(model: nn.Module) -> set[str]:
    """Return the names under which snnTorch's neurons may have left their state."""
    neurons = [name for name, module in model.named_modules() if isinstance(module, snntorch.SpikingNeuron)]
    return {f"{name}.{state}" if name else state for name in neurons for state in STATES}


def _kept(model: nn.Module, own: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: Path) -> list[str]:
    """Return the buffers of neurons and counters of batches that a file of an older version lacks: the model's own stay."""
    neurons = {name for name, module in model.named_modules() if isinstance(module, snntorch.SpikingNeuron)}
    buffers = {name for name, _ in model.named_buffers()}
    kept = [
        name
        for name in own
        if name in buffers and name not in weights and (name.rpartition(".")[0] in neurons or name.rpartition(".")[2] in COUNTERS)
    ]
    telling = [name for name in kept if name.rpartition(".")[2] in SETTINGS]
    if telling and weights.keys() & own.keys():
        text = f"{path}: does not hold {some(telling)}; the values that the model is built with stay"
        warnings.warn(text, CheckpointWarning, stacklevel=4)
    return kept
