"""What `snnfuse train` refuses before it begins: options that contradict each other or would have no effect, and work done for nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnfuse.commands.train_options import DATA_SETS
from snnfuse.commands.train_own import READ, is_file
from snnfuse.hardware.errors import InputError

if TYPE_CHECKING:
    from snnfuse.data import AudioVisual


def check_start(network: str | None, start: Path | None, name: str | None, options: dict[str, Any]) -> None:
    """InputError for options that contradict, or would have no effect."""
    given = [what for what, value in (("NETWORK", network), ("--model", options["factory"])) if value is not None]
    if start is None and len(given) != 1:
        raise InputError(
            "give NETWORK (fd-fusion or s-cmrl) or --model PACKAGE.MODULE:FACTORY to train one from scratch, or --from CHECKPOINT to "
            "fine-tune one, not both"
        )
    if start is not None and network is not None:
        raise InputError("give NETWORK (fd-fusion or s-cmrl) to train one from scratch, or --from CHECKPOINT to fine-tune one, not both")
    for option in READ:
        if options[option] is not None and (start is None or not is_file(name)):
            flag = f"--{option.replace('_', '-')}"
            raise InputError(f"{flag} is for a network of your own: give --from CHECKPOINT and --data FILE.npz, with arrays and labels")
    if start is None and is_file(name) and not str(name).endswith(".npz"):
        raise InputError(f"--data {name}: a network is trained from scratch on an .npz file, with labels; --from CHECKPOINT takes this one")
    if start is None and name is None:
        raise InputError(f"--data NAME is missing: {', '.join(DATA_SETS)}")
    if options["resume"] and options["log_dir"] is None:
        raise InputError("--resume needs --log-dir, the folder of the run to go on with")
    _check_integers(options)
    if start is not None:
        _check_fine_tuning(options)


def _check_integers(options: dict[str, Any]) -> None:
    for name in ("qat_epochs", "qat_lr", "qat_scales"):
        if options["qat"] is None and options[name] is not None:
            raise InputError(f"--{name.replace('_', '-')} goes with --qat BITS")
    if options["qat"] is not None and options["precision"] != "32":
        raise InputError(f"--qat needs --precision 32, in which the chip's arithmetic is exact, not {options['precision']}")


def _check_fine_tuning(options: dict[str, Any]) -> None:
    for flag, name in (("--preset", "preset"), ("--set", "assigned"), ("--modality", "modality"), ("--l2", "l2")):
        if options[name]:
            raise InputError(f"{flag} shapes a new network; with --from it has no effect, leave it out")
    for name in ("epochs", "lr"):
        if options[name] is not None:
            raise InputError(f"--{name} is of the training before --qat; with --from say --qat-{name}")
    if options["reset_delay"] and options["reset"] != "subtract":
        raise InputError("--reset-delay goes with --reset subtract where a checkpoint is fine-tuned")


def check_tunable(network: str, dataset: "AudioVisual", options: dict[str, Any]) -> None:
    """UnsupportedError, before its float training, for a network that --qat will not take."""
    if options["qat"] is None:
        return
    from snnfuse import training
    from snnfuse.commands.train_options import configuration

    training.check_tunable(dataset, architecture=network, **configuration(network, dataset, options))
