"""Tracing runs the user's forward; afterwards the model is exactly what it was.

A forward may assign attributes, reset every neuron that exists (`snntorch.utils.reset` does) and draw random numbers.
`untouched` gives it stand-ins for the state that it may change, and puts the originals back, whatever happens.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from snntorch import SpikingNeuron
from torch import nn


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, without gradients, with copies of every buffer.

    On exit every attribute, parameter, buffer, flag and torch's random state are as before.
    """
    own = list(model.modules())
    known = {id(module) for module in own}
    foreign = [n for n in SpikingNeuron.instances if id(n) not in known]  # snnTorch keeps every neuron that was ever made
    saved = [(module, _save(module)) for module in own]
    saved += [(module, (dict(vars(module)), {})) for module in foreign]  # of those only attributes and buffers change
    parameters = [(p, p.data, p.detach().clone()) for p in model.parameters()]
    try:
        for module in own:
            module._buffers = {k: None if v is None else v.detach().clone() for k, v in module._buffers.items()}
            module.__dict__["training"] = False
        for module in foreign:  # a view suffices: snnTorch replaces these tensors, or detaches them in place
            module._buffers = {k: None if v is None else v.detach() for k, v in module._buffers.items()}
        with torch.random.fork_rng(), torch.no_grad():
            yield
    finally:
        for module, before in saved:
            _restore(module, before)
        for parameter, data, value in parameters:
            parameter.data = data
            data.copy_(value)


def _save(module: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    """The attributes, and the contents of those that can be changed in place."""
    attributes = dict(module.__dict__)
    contents = {k: v.copy() for k, v in attributes.items() if isinstance(v, list | dict | set)}
    return attributes, contents


def _restore(module: nn.Module, before: tuple[dict[str, Any], dict[str, Any]]) -> None:
    attributes, contents = before
    module.__dict__.clear()
    module.__dict__.update(attributes)
    for key, content in contents.items():
        held = attributes[key]
        held.clear()
        held.extend(content) if isinstance(held, list) else held.update(content)
