"""Architectures by name, so that a checkpoint can hold a name and a configuration in place of code."""

import inspect
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from torch import nn

from snnfuse.hardware.errors import InputError

Factory = TypeVar("Factory", bound=Callable[..., nn.Module])
_FACTORIES: dict[str, Callable[..., nn.Module]] = {}


def architecture(name: str) -> Callable[[Factory], Factory]:
    """Decorator: register a factory that takes the configuration as keyword arguments, all of them JSON-able.

    Example:
        @architecture("fd-fusion")
        def fd_fusion(*, classes: int = 10) -> nn.Module: ...
    """

    def register(factory: Factory) -> Factory:
        if name in _FACTORIES:
            raise ValueError(f"architecture {name!r} is registered twice")
        _FACTORIES[name] = factory
        return factory

    return register


def names() -> tuple[str, ...]:
    """The architectures that there are."""
    return tuple(_FACTORIES)


def build(name: str, config: dict[str, Any]) -> nn.Module:
    """Build an architecture; the model remembers both arguments, for `save_checkpoint`.

    Raises:
        InputError: no such architecture, or it does not take this configuration.
    """
    if name not in _FACTORIES:
        raise InputError(f"unknown architecture {name!r}; there are {', '.join(names())}")
    factory = _FACTORIES[name]
    try:
        inspect.signature(factory).bind(**config)
    except TypeError as error:
        raise InputError(f"architecture {name!r} does not take this configuration: {error}") from error
    return factory(**config)


def describe(model: nn.Module) -> tuple[str, dict[str, Any]] | None:
    """(architecture name, configuration) of a model of ours, or None for a user's own class.

    A model of ours has a frozen dataclass `config` and the class attribute `architecture`.
    """
    name = getattr(model, "architecture", None)
    if name not in _FACTORIES:
        return None
    return name, asdict(model.config)
