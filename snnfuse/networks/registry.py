"""Architectures by name, so that a checkpoint can hold a name and a configuration in place of code."""

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from torch import nn

from snnfuse.hardware.errors import InputError

Factory = TypeVar("Factory", bound=Callable[..., nn.Module])
_FACTORIES: dict[str, Callable[..., nn.Module]] = {}
_PRESETS: dict[str, dict[str, "Preset"]] = {}


@dataclass(frozen=True)
class Preset:
    """A configuration with a name, for users to ask for.

    Attributes:
        summary: what it is, one line.
        config: fields of the architecture's configuration, JSON-able; those not named keep their defaults.
    """

    summary: str
    config: dict[str, Any]


def architecture(name: str) -> Callable[[Factory], Factory]:
    """Decorator: register a factory that takes the configuration as keyword arguments, all of them JSON-able.

    A model remembers how it was made, so that `save_checkpoint` can write it down: the arguments, or all of `model.config` where
    that is a dataclass, which keeps the defaults of today too. `register` is the same as a function.

    Example:
        @architecture("perceptron")
        def perceptron(*, inputs: int, classes: int = 10) -> nn.Module: ...
    """

    def register(factory: Factory) -> Factory:
        if name in _FACTORIES:
            raise ValueError(f"architecture {name!r} is registered twice")

        @wraps(factory)
        def make(**config: Any) -> nn.Module:
            model: Any = factory(**{key: _tuples(value) for key, value in config.items()})
            own = getattr(model, "config", None)
            model.made_as = (name, asdict(own) if is_dataclass(own) and not isinstance(own, type) else config)
            return model

        make.architecture = name  # type: ignore[attr-defined]  # of functions any may be set
        _FACTORIES[name] = make
        return cast(Factory, make)

    return register


def register(name: str, factory: Factory) -> Factory:
    """Make a network of your own known by a name, to `snnfuse train NAME`, to `snnfuse.training.train` and in checkpoints.

    Args:
        name: what it is called. A checkpoint holds this name and the arguments, never code: whoever opens it has imported the module that
            registers the name, on the command line with `snnfuse --import MODULE`.
        factory: takes keyword arguments, all of them JSON-able, and returns a torch module whose forward is one time step, or goes through
            time itself in any way that an export takes. Of what the data decide it is given what it has parameters for: the shape of each
            input in one step, a tuple, by the input's name; `classes`; and `steps`, the number of time steps. The module's `inputs`, or
            else the parameters of its forward, name what it reads.

    Returns:
        The factory, whose models remember how they were made.

    Raises:
        ValueError: the name is taken.

    Example:
        register("three-senses", lambda *, image, audio, touch, classes, width=32: ThreeSenses(image, audio, touch, classes, width))
    """
    return architecture(name)(factory)


def _tuples(value: Any) -> Any:
    """Lists, as JSON gives them, as tuples, at any depth."""
    if isinstance(value, dict):
        return {key: _tuples(each) for key, each in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def taken(name: str, offered: dict[str, Any]) -> dict[str, Any]:
    """What of the configuration that data decide an architecture's factory has parameters for.

    Raises:
        InputError: no such architecture.
    """
    _check_known(name)
    parameters = inspect.signature(_FACTORIES[name]).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return {key: value for key, value in offered.items() if key in parameters or key != "steps"}
    return {key: value for key, value in offered.items() if key in parameters}


def names() -> tuple[str, ...]:
    """Return the names of the registered architectures."""
    return tuple(_FACTORIES)


def build(name: str, config: dict[str, Any]) -> nn.Module:
    """Build an architecture.

    Raises:
        InputError: no such architecture, or it does not take this configuration.
    """
    _check_known(name)
    factory = _FACTORIES[name]
    try:
        inspect.signature(factory).bind(**config)
    except TypeError as error:
        raise InputError(f"architecture {name!r} does not take this configuration: {error}") from error
    return factory(**config)


def preset(architecture: str, name: str, summary: str, **config: Any) -> None:
    """Give a configuration of an architecture a name.

    Example:
        preset("perceptron", "wide", "four times the neurons", width=4096)
    """
    known = _PRESETS.setdefault(architecture, {})
    if name in known:
        raise ValueError(f"preset {name!r} of {architecture!r} is registered twice")
    known[name] = Preset(summary, config)


def presets(architecture: str) -> dict[str, Preset]:
    """An architecture's presets, by name.

    Raises:
        InputError: no such architecture.
    """
    _check_known(architecture)
    return dict(_PRESETS.get(architecture, {}))


def preset_config(architecture: str, name: str) -> dict[str, Any]:
    """The configuration of a preset, to which a user may add fields of their own before `build`.

    Raises:
        InputError: no such architecture, or it has no such preset.
    """
    known = presets(architecture)
    if name not in known:
        raise InputError(f"{architecture} has no preset {name!r}; there are {', '.join(known) or 'none'}")
    return dict(known[name].config)


def _check_known(name: str) -> None:
    if name not in _FACTORIES:
        own = f"; one of your own is known by model={name!r}" if ":" in name else "; one of your own is registered by importing its module"
        raise InputError(f"unknown architecture {name!r}; there are {', '.join(names())}{own}")


def describe(model: nn.Module) -> tuple[str, dict[str, Any]] | None:
    """Return (architecture name, configuration) of a model that a registered factory made, None for any other."""
    return getattr(model, "made_as", None)
