"""Architectures by name, so that a checkpoint can hold a name and a configuration in place of code."""

import inspect
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from torch import nn

from snnfuse.hardware.errors import InputError

Factory = TypeVar("Factory", bound=Callable[..., nn.Module])
_FACTORIES: dict[str, Callable[..., nn.Module]] = {}


def architecture(name: str) -> Callable[[Factory], Factory]:
    """Decorator: register a factory that takes the configuration as keyword arguments, all of them JSON-able.

    A model remembers how it was made, so that `save_checkpoint` can write it down: the arguments, or all of `model.config` where
    that is a dataclass, which keeps the defaults of today too.

    Example:
        @architecture("perceptron")
        def perceptron(*, inputs: int, classes: int = 10) -> nn.Module: ...
    """

    def register(factory: Factory) -> Factory:
        if name in _FACTORIES:
            raise ValueError(f"architecture {name!r} is registered twice")

        @wraps(factory)
        def make(**config: Any) -> nn.Module:
            model = factory(**config)
            own = getattr(model, "config", None)
            model.made_as = (name, asdict(own) if is_dataclass(own) else config)
            return model

        _FACTORIES[name] = make
        return cast(Factory, make)

    return register


def names() -> tuple[str, ...]:
    """The architectures that there are."""
    return tuple(_FACTORIES)


def build(name: str, config: dict[str, Any]) -> nn.Module:
    """Build an architecture.

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
    """(architecture name, configuration) of a model that a registered factory made, None for any other."""
    return getattr(model, "made_as", None)
