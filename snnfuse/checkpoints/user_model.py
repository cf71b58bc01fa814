"""A user's own model class, named on the command line."""

import importlib
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from torch import nn

from snnfuse.checkpoints.import_path import current_folder_importable
from snnfuse.checkpoints.torch_file import first_line
from snnfuse.hardware.errors import InputError

SUFFIX = ".py"


def call_factory(model: str | Callable[[], nn.Module]) -> nn.Module:
    """Import and call a factory; of a module that DataParallel or torch.compile wraps, return the module."""
    factory = _import(model) if isinstance(model, str) else model
    try:
        made = factory()
    except (Exception, SystemExit) as error:  # a user's own code
        raise InputError(f"model={model!r}: calling it without arguments failed ({type(error).__name__}: {first_line(error)})") from error
    if not isinstance(made, nn.Module):
        raise InputError(f"model={model!r}: gave a {type(made).__name__}, not a torch.nn.Module")
    from snnfuse.export.tracing.capture.arguments import unwrapped

    return unwrapped(made)


def architecture_of(spec: str) -> str:
    """The name by which a factory `package.module:factory` is registered, which it is under `spec` itself if under no other.

    Raises:
        InputError: it cannot be imported.
    """
    from snnfuse import networks

    factory = _import(spec)
    name = getattr(factory, "architecture", None)
    if isinstance(name, str) and name in networks.names():
        return name
    if spec not in networks.names():
        networks.register(spec, _guarded(spec, factory))
    return spec


def _guarded(spec: str, factory: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """The factory, whose errors say which one it is."""

    @wraps(factory)
    def make(**config: Any) -> nn.Module:
        try:
            made = factory(**config)
        except (Exception, SystemExit) as error:  # a user's own code
            given = ", ".join(f"{key}={value!r}" for key, value in config.items())
            raise InputError(f"model={spec!r}: calling it with {given} failed ({type(error).__name__}: {first_line(error)})") from error
        if not isinstance(made, nn.Module):
            raise InputError(f"model={spec!r}: gave a {type(made).__name__}, not a torch.nn.Module")
        return made

    return make


def names_factory(text: str) -> bool:
    """Return True for `package.module:factory` or `path/file.py:factory`, which no file is called."""
    module, _, name = text.rpartition(":")
    return bool(module) and all(part.isidentifier() for part in name.split(".")) and not Path(text).exists()


def _import(spec: str) -> Callable[[], nn.Module]:
    module, separator, name = spec.rpartition(":")
    if not (module and separator and name):
        raise InputError(f"model={spec!r}: write it as package.module:factory, or path/file.py:factory")
    folders, module = _of_file(Path(module)) if module.endswith(SUFFIX) else ((), module)
    try:
        with current_folder_importable(*folders):
            found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise InputError(f"model={spec!r}: {module} has no {name}") from error
    except (Exception, SystemExit) as error:  # importing runs a user's own code
        raise InputError(f"model={spec!r}: cannot import {module} ({type(error).__name__}: {first_line(error)})") from error
    if not callable(found):
        raise InputError(f"model={spec!r}: {name} is not callable")
    return found


def _of_file(file: Path) -> tuple[tuple[str, ...], str]:
    """The folders in which what a file imports is looked for, and its name there: within its folder, so that `from .other` works."""
    if not file.is_file():
        raise InputError(f"model={str(file)!r}: there is no such file")
    folder, stem = file.resolve().parent, file.stem
    in_folder = folder.name.isidentifier() and folder.parent != folder
    name = f"{folder.name}.{stem}" if in_folder else stem
    if getattr(sys.modules.get(name), "__file__", None) not in (None, str(file.resolve())):
        del sys.modules[name]  # of another folder that is called the same
    return ((str(folder.parent), str(folder)) if in_folder else (str(folder),)), name
