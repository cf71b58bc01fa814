"""What calibrates an export: samples of a file or a data set, and shapes from the command line."""

import re
from typing import TYPE_CHECKING

from snnfuse.commands.export_options import ExportOptions

if TYPE_CHECKING:
    from snnfuse.compile.sources import Source
    from snnfuse.data import Settings
    from snnfuse.data.samples import Samples


def find_samples(source: "Source", options: ExportOptions) -> "Samples | None":
    """Calibration samples, from a file, a data set, or the data set that a checkpoint of ours was trained on; None where none are needed.

    Raises:
        InputError: there are none, or they are not the source's.
    """
    from snnfuse.hardware.errors import InputError

    samples = given_samples(source, options)
    if samples is None and source.floats is not None and options.find_target().has_program:
        raise InputError(f"--target {options.target} needs samples to calibrate on: --calib FILE.npz, or --data NAME")
    return samples


def given_samples(source: "Source", options: ExportOptions) -> "Samples | None":
    """Those that the options or the checkpoint name; None where none does. InputError where they are not the source's."""
    from snnfuse.compile.open_samples import open_samples
    from snnfuse.data import same_reading
    from snnfuse.data.samples import draw_samples

    own, settings = trained_on(source, options)
    data = options.data or (None if options.calib or options.sample else own)
    if options.calib:
        samples = open_samples(options.calib, batch_first=options.batch_first)
        samples.check_steps(options.time_steps)
    elif data:
        settings = settings if same_reading(data, own) else type(settings)()
        samples = draw_samples(data, options.calib_samples, data_dir=options.data_dir, settings=settings)
    else:
        return None
    return samples if source.floats is None else samples.named(source.inputs)


def trained_on(source: "Source", options: ExportOptions) -> "tuple[str | None, Settings]":
    """The data set that a checkpoint of ours names, and how it was read."""
    from snnfuse.checkpoints.checkpoint import known_metadata
    from snnfuse.data import Settings
    from snnfuse.data.samples import settings_from

    if not source.is_ours or not options.model.exists():
        return None, Settings()
    metadata = known_metadata(options.model)
    return metadata.get("data"), settings_from(metadata, str(options.model))


def find_shapes(source: "Source", options: ExportOptions) -> dict[str, tuple[int, ...]] | None:
    """Of every input in one step, from --sample; None where that was not given."""
    return parse_shapes(options.sample, source.inputs or ("input",)) if options.sample else None


def parse_shapes(given: tuple[str, ...], names: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """`1x28x28`, or `image=1x28x28` once per input, to shapes by name."""
    from snnfuse.hardware.errors import InputError

    shapes = {}
    for text in given:
        name, _, shape = text.rpartition("=")
        sizes = shape.split("x")
        if not all(re.fullmatch("0*[1-9][0-9]{0,17}", size) for size in sizes):
            raise InputError(f"--sample {text}: write a shape as 1x28x28, or image=1x28x28")
        if name not in names and (name or len(names) != 1):
            raise InputError(f"--sample {text}: name one of the network's inputs, {', '.join(names)}, as in {names[0]}={shape}")
        shapes[name or names[0]] = tuple(int(size) for size in sizes)
    return shapes
