"""The command line: subcommands that are imported when they are used, and errors in one line.

Exit codes: 0 done, 1 a verification failed, 2 bad usage, input or path, 3 unsupported, 4 does not fit the chip, 5 unsafe file,
6 environment; 70 anything unexpected, which keeps its stack trace; 130, 141 and 143 after an interrupt, a closed pipe, and a
termination. Where a file made a reader fail in a way that nobody foresaw (`snnfuse.hardware.reading`), or the system refused one, the code
is 2 and the trace goes into a log. With `--json -` an error is JSON on stdout too.
"""

import atexit
import errno
import importlib
import io
import json
import os
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, NoReturn

import click

from snnfuse.commands.console import painted, printable, printable_line, write
from snnfuse.commands.phases import Dots, said_before_imports
from snnfuse.commands.process import collect_seldom, keep_memory, wait_asleep
from snnfuse.commands.wording import in_flags

COMMANDS = {
    "board": "Run a bundle's golden inputs on a Loihi 2 board, and compare.",
    "check": "Say what would become of a network, layer by layer, without calibrating it.",
    "compare": "Say where two checkpoints, graphs, bundles, runs or netx files first differ.",
    "convert": "Turn a checkpoint of S-CMRL's authors into one of ours.",
    "demo": "Train, export and run a small audio-visual network.",
    "diagnose": "Say why a bundle does something else than its float network.",
    "doctor": "Say what is installed, and how to install what is not.",
    "energy": "Model an inference's energy and time on a chip from real spikes.",
    "export": "Turn a trained network into a bundle for Loihi 2, Lava or NIR.",
    "map": "Say where a program goes on a board: cores, memory, axons and tier of each layer.",
    "ops": "Say what is exported exactly, what with a change, and what is refused.",
    "replay": "Check again what a test found wrong, from the case that it saved.",
    "report": "Write all that is known of a bundle, and how it does with failing sensors, as one page.",
    "simulate": "Run a bundle's program on the emulator, torch or Lava.",
    "train": "Train a fusion network and write a checkpoint.",
    "verify": "Check a bundle: hashes, then every spike on emulator and Lava.",
}
UNEXPECTED, INTERRUPTED, CLOSED_PIPE = 70, 130, 141
OURS = "snnfuse.hardware.errors"  # the module of our warnings
CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class LazyGroup(click.Group):
    """A group whose commands each live in a module of `snnfuse.commands` with their own name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        near = [] if name in COMMANDS or name.startswith("-") else get_close_matches(name, COMMANDS)
        if near:
            ctx.fail(f"No such command {name!r}; did you mean {' or '.join(near)}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):  # from the table above: click would import every command for its first line
            formatter.write_dl(list(COMMANDS.items()))


def load_command(name: str) -> click.Command:
    """Import one command."""
    return getattr(importlib.import_module(f"snnfuse.commands.{name}"), name)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="snnfuse")
@click.option("--import", "modules", multiple=True, metavar="MODULE", help="Import a module of yours first, for what it registers.")
def snnfuse(modules: tuple[str, ...]) -> None:
    """Spiking networks, from snnTorch through NIR to bit-exact programs for Loihi 2."""
    for module in modules:
        import_extension(module)


def import_extension(module: str) -> None:
    """Import a module that registers kinds, backends, targets or data sets; it may lie in the current folder.

    Raises:
        InputError: it is not there, or fails.
    """
    from snnfuse.checkpoints.import_path import current_folder_importable
    from snnfuse.hardware.errors import InputError

    try:
        with current_folder_importable():
            importlib.import_module(module)
    except Exception as error:
        raise InputError(f"--import {module}: {type(error).__name__}: {error}") from error


def main() -> NoReturn:
    """Entry point of `snnfuse`."""
    _run_and_end(lambda: snnfuse, "snnfuse")


def export_main() -> NoReturn:
    """Entry point of `snnfuse-export`, the same as `snnfuse export`."""
    _run_and_end(lambda: load_command("export"), "snnfuse-export")


def _run_and_end(load: Callable[[], click.Command], name: str) -> NoReturn:
    """Run the command of this process and end it as multiprocessing ends its own: after threads, exit functions and output, but without
    taking apart what torch and the compiler made, which took a second.
    """
    collect_seldom()
    wait_asleep()
    if not {"-h", "--help", "--version"} & set(sys.argv):
        keep_memory()
    _open_standard_streams()
    code = run(load, name, sys.argv[1:])
    threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]  # as multiprocessing.process does: waits for threads
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # a pipe that nobody reads any more: what is left in it cannot be said
        code = code or CLOSED_PIPE
    os._exit(code)


def board_main(bundle: str) -> int:
    """What a bundle's run_on_board.py does: `snnfuse board` on its folder; returns the exit code."""
    _open_standard_streams()
    return run(lambda: load_command("board"), "run_on_board.py", [bundle, *sys.argv[1:]])


class Terminated(BaseException):
    """SIGTERM: unwinds, so that nothing half-written stays. No SystemExit, for that is what code of others raises."""


def run(load: Callable[[], click.Command], name: str, arguments: Sequence[str]) -> int:
    """Run a command; returns its exit code, with errors of ours and of usage in one line on stderr."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(load, name, arguments)
    except BrokenPipeError:
        _discard(sys.stdout, sys.stderr)
        return CLOSED_PIPE
    except OSError as error:  # of stderr: nobody can be told
        _discard(sys.stdout, sys.stderr)
        return 2 if error.errno in CANNOT_WRITE else UNEXPECTED


def _run(load: Callable[[], click.Command], name: str, arguments: Sequence[str]) -> int:
    as_json, stdout = _wants_json(arguments), sys.stdout
    try:
        os.getcwd()
    except OSError:
        return _report("the folder that this was started in does not exist any more; change to another one", 2, as_json)
    try:
        with _warnings_in_a_line(), _alive(arguments):
            code = load().main(args=list(arguments), prog_name=name, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        return _report(error.format_message(), error.exit_code if error.exit_code != 1 else 2, as_json)
    except (click.Abort, KeyboardInterrupt):
        return _report("interrupted", INTERRUPTED, as_json)
    except Terminated:
        return 128 + signal.SIGTERM
    except SystemExit as end:
        if sys.stdout is not stdout:  # click answers a closed pipe by wrapping the streams and sys.exit(1)
            sys.stdout = stdout
            raise BrokenPipeError from None
        if _completes(name):
            return 0
        return _report(f"the program was ended by sys.exit({end.code!r}) in code that it ran", 2, as_json)
    except Exception as error:
        return _report_exception(error, as_json)


@contextmanager
def _alive(arguments: Sequence[str]) -> Iterator[None]:
    """Show that a command is alive where no step of its own does; a stream may wait for ever."""
    if any(word == "--quiet" or word.startswith("--stream") for word in arguments):
        yield
        return
    with Dots("working"), said_before_imports():
        yield


def _completes(name: str) -> bool:
    """Whether a shell asks for what could follow, which click answers by printing it and ending the program."""
    return f"_{name}_COMPLETE".replace("-", "_").upper() in os.environ


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Warnings of ours are said once each, as errors are: without the place in our code that gave them."""
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
        line = in_flags(printable(str(message)))
        if category.__module__ != OURS:
            python_s(message, category, *where)
        elif line not in said:
            said.add(line)
            write(painted(f"warning: {line}"), err=True)

    with warnings.catch_warnings():
        python_s, warnings.showwarning = warnings.showwarning, show
        yield


def _report_exception(error: Exception, as_json: bool) -> int:
    from snnfuse.hardware.errors import SnnfuseError, UnforeseenFileError  # its package imports NumPy

    if isinstance(error, BrokenPipeError):
        raise error
    if isinstance(error, UnforeseenFileError):
        return _report(f"{error}; if the file is sound, the fault is snnfuse's: {_log(error)}", error.exit_code, as_json)
    if isinstance(error, SnnfuseError):
        return _report(str(error), error.exit_code, as_json)
    if isinstance(error, OSError) and error.errno in CANNOT_WRITE:
        _discard(sys.stdout)  # what is left in its buffer would fail again at exit
        return _report(f"cannot write: {error.strerror}", 2, False)
    if isinstance(error, OSError) and error.filename is not None:
        return _report(f"{error.filename}: {error.strerror}; {_log(error)}", 2, as_json)
    click.echo("\n".join(map(printable_line, traceback.format_exc().splitlines())), err=True)
    if as_json:
        _report_json(f"{type(error).__name__}: {error}", UNEXPECTED)
    return UNEXPECTED


def _report(message: str, code: int, as_json: bool) -> int:
    line = in_flags(printable(message))
    write(painted(f"error: {line}"), err=True)
    if as_json:
        _report_json(line, code)
    return code


def _log(error: Exception) -> str:
    """Keep a stack trace in a file; returns words that say where."""
    trace = "".join(traceback.format_exception(error))
    try:
        handle, path = tempfile.mkstemp(prefix="snnfuse-", suffix=".log")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(trace)
    except OSError as problem:
        return f"the stack trace could not be kept ({problem.strerror})"
    return f"the stack trace is in {path}"


def _report_json(message: str, code: int) -> None:
    click.echo(json.dumps({"error": message, "exit_code": code}, indent=2))


def _wants_json(arguments: Sequence[str]) -> bool:
    return "--json=-" in arguments or ("--json", "-") in zip(arguments, arguments[1:])


def _open_standard_streams() -> None:
    """Give a process that was started with closed standard streams empty ones: the first file that it opens would become one."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    sys.stdout = sys.stdout or open(1, "w", closefd=False)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr has it: an encoding such as cp1252 lacks letters that names have


def _discard(*streams: object) -> None:
    """Send what a stream still holds nowhere, so that flushing it at exit does not fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(null, 2 if stream is sys.stderr else 1)
    os.close(null)


def _terminate(signum: int, frame: object) -> None:
    raise Terminated
