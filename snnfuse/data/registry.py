"""Data sets by name, those of other packages too."""

from collections.abc import Callable
from pathlib import Path

from snnfuse.data.pairs import AudioVisual
from snnfuse.data.settings import Settings
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.reading import reading

Loader = Callable[[str | Path | None, Settings], AudioVisual]
_LOADERS: dict[str, Loader] = {}


def register_data_set(name: str, load: Loader) -> Loader:
    """Make a data set known by its name, and return its loader.

    Args:
        name: what `load` and `snnfuse train --data` take.
        load: called with the folder that holds the files, or None for the default one, and with how to read them. It refuses
            what it does not offer with `snnfuse.data.settings.only`, and returns training and test pairs.

    Raises:
        InputError: another data set has that name.

    Example:
        register_data_set("clapping-hands", lambda data_dir, settings: AudioVisual("clapping-hands", ...))
    """
    if _LOADERS.setdefault(name, load) is not load:
        raise InputError(f"data set {name!r} is registered already, by {_LOADERS[name].__module__}; give yours a name of its own")
    return load


def names() -> tuple[str, ...]:
    """Return the names of the data sets registered so far, those of this package first."""
    return tuple(_LOADERS)


def load(name: str, data_dir: str | Path | None = None, settings: Settings = Settings()) -> AudioVisual:
    """Load a data set by name.

    Args:
        name: one of `names()`; "av-digits" is embedded, with synthetic speech.
        data_dir: where what is not embedded lies; None for $SNNFUSE_DATA, else ../shared/data.
        settings: how to read it.

    Raises:
        InputError: the name is unknown, the data set does not offer a setting, or a file is missing or damaged.
    """
    if name not in _LOADERS:
        raise InputError(
            f"unknown data set {name!r}; there are {', '.join(_LOADERS)}; one of your own is registered by importing its module"
        )
    with reading(name if data_dir is None else data_dir):
        return _LOADERS[name](data_dir, settings)
