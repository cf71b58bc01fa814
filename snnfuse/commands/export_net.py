"""`snnfuse export MODEL.net`: a netx file of lava-dl's to a bundle."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnfuse.commands.console import Console
from snnfuse.commands.tables import wrapped_table

if TYPE_CHECKING:
    from snnfuse.compile.compiled import Compiled

# Options that shape a graph or choose its integers, with the values that mean nobody gave them.
NOT_FOR_INTEGERS = {
    "reset": None,
    "weight_bits": 8,
    "input_bits": 12,
    "max_groups": 2,
    "l2": "fold",
    "factory": None,
    "time_steps": None,
    "allow_pickle": False,
    "data": None,
}
FLAGS = {"factory": "--model"}


def compile_net_file(model: Path, target: str, console: Console, options: dict[str, Any]) -> "Compiled":
    """The program of a netx file, with golden vectors.

    Raises:
        InputError: options that would have no effect, or as of `compile_net`.
        UnsupportedError: target nir, or as of `compile_net`.
    """
    from snnfuse.compile.net_compiled import compile_net
    from snnfuse.data.samples import read_samples

    check_options(model, target, options)
    with console.step(f"reading {model}"):
        samples = read_samples(options["calib"]) if options["calib"] else None
    with console.step("running golden inputs"):
        shape = input_shape(options["sample"])
        return compile_net(model, samples, target=target, dt=options["dt"], input_shape=shape, board=options["board"])


def check_options(model: Path, target: str, options: dict[str, Any]) -> None:
    """Refuse what would have no effect."""
    from snnfuse.hardware.errors import InputError, UnsupportedError

    if target == "nir":
        raise UnsupportedError(f"{model}: a netx file holds integers, of which there is no float graph; use --target loihi2, lava or netx")
    for option, default in NOT_FOR_INTEGERS.items():
        if options[option] != default:
            flag = FLAGS.get(option, "--" + option.replace("_", "-"))
            raise InputError(f"{flag} has no effect on a .net file, which holds integers already; leave it out")


def input_shape(given: tuple[str, ...]) -> tuple[int, ...] | None:
    """--sample, for a file without an input layer."""
    from snnfuse.commands.export import parse_shapes

    return parse_shapes(given, ("input",))["input"] if given else None


def describe_differences(report: dict[str, Any]) -> str:
    """What netx itself would make of the file."""
    rows = [(entry["node"], entry["change"]) for entry in report["netx_differences"]]
    if not rows:
        return "netx itself runs this file as it is"
    return wrapped_table("netx itself would run something else; this bundle keeps the file", ("layer", "netx"), rows)


def describe_golden(report: dict[str, Any]) -> str:
    """Where the golden vectors are from."""
    about = report["golden_vectors"]
    return f"golden vectors from {about['source']}: {about['samples']} samples of {about['time_steps']} steps"
