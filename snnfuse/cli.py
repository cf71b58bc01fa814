"""The command line: subcommands that are imported when they are used, and errors in one line.

Exit codes: 0 done, 1 a verification failed, 2 bad usage, input or path, 3 unsupported, 4 does not fit the chip, 5 unsafe file,
6 environment; 130 and 143 after an interrupt or a termination. Anything unexpected keeps its stack trace.
"""

import importlib
import signal
import sys
from collections.abc import Callable, Sequence

import click

COMMANDS = {
    "demo": "Train, export and run a small audio-visual network.",
    "doctor": "Say what is installed, and how to install what is not.",
    "export": "Turn a trained network into a bundle for Loihi 2, Lava or NIR.",
    "simulate": "Run a bundle's program on the emulator or on Lava.",
    "train": "Train a fusion network and write a checkpoint.",
    "verify": "Check a bundle: hashes, then every spike on emulator and Lava.",
}


class LazyGroup(click.Group):
    """A group whose commands each live in a module of `snnfuse.commands` with their own name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):  # from the table above: click would import every command for its first line
            formatter.write_dl(list(COMMANDS.items()))


def load_command(name: str) -> click.Command:
    """Import one command."""
    return getattr(importlib.import_module(f"snnfuse.commands.{name}"), name)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="snnfuse")
def snnfuse() -> None:
    """Spiking networks, from snnTorch through NIR to bit-exact programs for Loihi 2."""


def main() -> None:
    """Entry point of `snnfuse`."""
    sys.exit(run(lambda: snnfuse, "snnfuse", sys.argv[1:]))


def export_main() -> None:
    """Entry point of `snnfuse-export`, the same as `snnfuse export`."""
    sys.exit(run(lambda: load_command("export"), "snnfuse-export", sys.argv[1:]))


def run(load: Callable[[], click.Command], name: str, arguments: Sequence[str]) -> int:
    """Run a command; returns its exit code, with errors of ours and of usage in one line on stderr."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = load().main(args=list(arguments), prog_name=name, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        return _report(error.format_message(), error.exit_code if error.exit_code != 1 else 2)
    except (click.Abort, KeyboardInterrupt):
        return _report("interrupted", 130)
    except Exception as error:
        from snnfuse.hardware.errors import SnnfuseError  # its package imports NumPy

        if isinstance(error, SnnfuseError):
            return _report(str(error), error.exit_code)
        raise


def _report(message: str, code: int) -> int:
    click.echo("error: " + " ".join(message.split()), err=True)
    return code


def _terminate(signum: int, frame: object) -> None:
    sys.exit(128 + signum)  # unwinds, so that nothing half-written stays
