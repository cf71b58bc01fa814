"""`snnfuse convert`: checkpoints of others to ours."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option
from snnfuse.commands.train_options import Size

if TYPE_CHECKING:
    from snnfuse.checkpoints.published import Published

FORMS = ("legacy", "exact", "causal")
FUSIONS = ("spatio-temporal", "spatial", "temporal", "add", "weight-attention", "cmci", "image", "audio")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def convert() -> None:
    """Turn a checkpoint of others into one of ours."""


@convert.command("s-cmrl", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("theirs", type=PATH, metavar="FILE")
@click.option("-o", "--output", type=PATH, required=True, metavar="FILE", help="The checkpoint to write.")
@click.option(
    "--form", type=click.Choice(FORMS), default=FORMS[0], show_default=True, help="legacy computes as their code; causal is for a chip."
)
@click.option("--fusion", type=click.Choice(FUSIONS), help="Where the file does not say: spatial or temporal, image or audio, add.")
@click.option("--image-size", "size", type=Size(), metavar="HxW", help="Of the inputs; default 128x128, of shallow patches 28x28.")
@click.option("--time-steps", "steps", type=click.IntRange(1), metavar="T", help="Default: the file's, else 4, of shallow patches 16.")
@click.option("--heads", type=click.IntRange(1), metavar="N", help="Of attention; default 16.")
@click.option("--alpha", type=float, metavar="NUMBER", help="Of the residual; default: the file's, else 1.5.")
@json_option
def s_cmrl(theirs: Path, output: Path, json_to: str | None, quiet: bool, **given: Any) -> None:
    """Read what S-CMRL's authors trained: FILE is a state_dict of their code, or the .pth.tar that it writes.

    Nothing in FILE is executed. Every tensor is renamed, or listed as one that their code counts and never reads; what neither explains is
    refused. --form legacy gives their code's outputs, to compare; it is not exported. exact and causal are the same weights without its
    faults.
    """
    console = Console(json_to, quiet, (theirs, output))
    with console.result() as result:
        with console.step(f"reading {theirs}"):
            from snnfuse.checkpoints.checkpoint import save_checkpoint
            from snnfuse.checkpoints.published import read_published
            from snnfuse.hardware.errors import InputError

            if output.exists() and output.samefile(theirs):
                raise InputError(f"{output}: is the file that is read; write to another one")
            found = read_published(theirs, **given)
            about = found.to_json()
        save_checkpoint(found.model, output, metadata={"converted from": theirs.name, "assumed": about["assumed"]})
        result.update({"output": str(output), **about, "parameters": sizes(found)})
        console.say(screen(found, output))


def sizes(found: "Published") -> dict[str, int]:
    """Parameters that the network has, and those of the file that are dead."""
    alive = sum(p.numel() for p in found.model.parameters())
    return {"of the network": alive, "dead": sum(len(names) for names in found.mapped.dead.values())}


def screen(found: "Published", output: Path) -> str:
    """What is printed."""
    from snnfuse.networks.s_cmrl.published import DEAD

    config = found.to_json()["config"]
    numbers = f"{config['channels']} channels, {config['steps']} steps, {config['heads']} heads, alpha {config['alpha']:g}"
    what = f"fusion {config['fusion']}, {numbers}"
    lines = [f"{output}: {what}, {'legacy' if config['legacy'] else config['attention']}; {len(found.mapped.state)} tensors renamed"]
    if found.assumed:
        lines.append(f"as published, for the file does not say: {', '.join(f'{name} {value}' for name, value in found.assumed.items())}")
    for key, names in found.mapped.dead.items():
        lines.append(f"dead, {key}: {DEAD[key]} ({len(names)} tensors)")
        lines += [f"    {name}" for name in names]
    return "\n".join(lines)
