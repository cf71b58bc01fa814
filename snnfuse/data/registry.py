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


def is_own(name: str) -> bool:
    """Whether a name is the path of data of a user's own: an .npz file, or a folder that is called like no data set."""
    return _own(name) is not None


def same_reading(asked: str | None, stored: object) -> bool:
    """Whether data are to be read as others were: they are the same, or both are a user's own, such as a file that was moved."""
    return asked in (None, stored) or (isinstance(stored, str) and asked is not None and stored not in _LOADERS and is_own(asked))


def _own(name: str) -> Callable[[Path, Settings], AudioVisual] | None:
    if name in _LOADERS:
        return None
    if name.endswith(".npz"):
        from snnfuse.data import arrays

        return arrays.load
    if Path(name).is_dir():
        from snnfuse.data.folders import own

        return own.load
    return None


def load(name: str, data_dir: str | Path | None = None, settings: Settings = Settings()) -> AudioVisual:
    """Load a data set by name.

    Args:
        name: one of `names()`; "av-digits" is embedded, with synthetic speech. Or a user's own: the path of an .npz file
            (`snnfuse.data.arrays`), or of a folder (`snnfuse.data.folders.own`).
        data_dir: where what is not embedded lies; None for $SNNFUSE_DATA, else ../shared/data.
        settings: how to read it.

    Raises:
        InputError: the name is unknown, the data set does not offer a setting, or a file is missing or damaged.
    """
    own = _own(name)
    if own is not None:
        with reading(name):
            return own(Path(name), settings)
    if name not in _LOADERS:
        raise InputError(
            f"unknown data set {name!r}; there are {', '.join(_LOADERS)}; one of your own is registered by importing its module"
        )
    with reading(name if data_dir is None else data_dir):
        return _LOADERS[name](data_dir, settings)
