"""The pytest plugin, loaded by pytest wherever snnfuse is installed: hardware-emulation tests in anyone's CI.

    pytest -m loihi2 --snnfuse-backend emulator --snnfuse-backend lava

It registers the marker `loihi2`, and says what the assertions of `snnfuse.testing` run on and where they save failed cases. Every
pytest run imports this, so it imports neither NumPy nor torch.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from snnfuse.testing.settings import BACKENDS, FOLDER, Settings, known_backends, using

MARKER = "loihi2: emulates Loihi 2 with snnfuse.testing; an error where a chosen backend is missing"
CHOICES = ", ".join(BACKENDS)
_stack = pytest.StashKey[ExitStack]()
_chosen = pytest.StashKey[Settings]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """--snnfuse-backend, --snnfuse-cases, and the same in the ini file."""
    group = parser.getgroup("snnfuse", "hardware emulation (snnfuse)")
    group.addoption(
        "--snnfuse-backend",
        action="append",
        metavar="NAME",
        help=f"What assert_bit_exact compares with the reference and assert_accuracy_drop runs on: {CHOICES}; may be given several "
        "times (default: the ini file's snnfuse_backend, or emulator)",
    )
    group.addoption(
        "--snnfuse-cases",
        metavar="DIR",
        help="Where failed cases are saved (default: the ini file's snnfuse_cases, or pytest's cache)",
    )
    parser.addini("snnfuse_backend", f"names as of --snnfuse-backend: {CHOICES}", type="args", default=[])
    parser.addini("snnfuse_cases", "folder of failed cases, relative to this file's", type="string", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and put the settings in force until the run ends.

    Raises:
        pytest.UsageError: the ini file names a backend that there is not.
    """
    config.addinivalue_line("markers", MARKER)
    chosen = Settings(_backends(config), lambda: _cases(config))
    config.stash[_chosen] = chosen
    config.stash[_stack] = ExitStack()
    config.stash[_stack].enter_context(using(chosen))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Put back what was in force before."""
    if _stack in config.stash:
        config.stash[_stack].close()


def pytest_report_header(config: pytest.Config) -> str:
    """Which backends run: a green run says what it compared."""
    return f"snnfuse: backends {', '.join(config.stash[_chosen].backends)}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A marked test without its backend is an error before it starts: skipped, a green run would have proved nothing."""
    if item.get_closest_marker("loihi2") and "lava" in item.config.stash[_chosen].backends:
        from snnfuse.hardware.backends.lava import require_lava

        require_lava()


def _backends(config: pytest.Config) -> tuple[str, ...]:
    names: Sequence[str] = config.getoption("snnfuse_backend") or config.getini("snnfuse_backend")
    known = known_backends()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise pytest.UsageError(f"snnfuse_backend: unknown backend {unknown[0]!r}; there are {', '.join(known)}")
    return tuple(dict.fromkeys(names)) or Settings().backends


def _cases(config: pytest.Config) -> Path:
    """The command line's folder, relative to where pytest runs; the ini file's, relative to the file; or one in pytest's cache."""
    if given := config.getoption("snnfuse_cases"):
        return config.invocation_params.dir / str(given)
    if given := config.getini("snnfuse_cases"):
        return (config.inipath.parent if config.inipath else config.rootpath) / given
    cache = getattr(config, "cache", None)  # not there with -p no:cacheprovider
    return config.rootpath / FOLDER if cache is None else cache.mkdir(FOLDER)
