"""What a program runs on, and what a run comes to as arrays."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snnfuse.testing.settings import BACKENDS, known_backends

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from snnfuse.hardware import Pipeline, Program, Recording
    from snnfuse.hardware.backends.run_pipeline import PipelineRun

LOCAL = "local"
MIB = 1 << 20


class BackendName(click.Choice):
    """A backend's name: one of ours, or one that a module of `--import` has registered."""

    def __init__(self) -> None:
        super().__init__(BACKENDS)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return value if value in known_backends() else super().convert(value, param, ctx)


@dataclass(frozen=True)
class Where:
    """What a program runs on.

    Attributes:
        backend: a backend's name.
        device: of torch.
        cluster: address of a ray cluster, "local" for one on this machine; None for no cluster.
        memory: MiB of working memory, None for the backend's own choice.
        timeout: seconds that Lava may take.
    """

    backend: str = BACKENDS[1]
    device: str = "cpu"
    cluster: str | None = None
    memory: int | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        options = {
            "--device": (self.device != "cpu", ("torch",)),
            "--cluster": (self.cluster is not None, ("emulator",)),
            "--memory": (self.memory is not None, ("emulator", "torch")),
            "--timeout": (self.timeout is not None, ("lava",)),
        }
        for option, (given, backends) in options.items():
            if given and self.backend not in backends:
                raise click.UsageError(f"{option} goes with --backend {' or '.join(backends)}, not with {self.backend}")

    def __str__(self) -> str:
        if self.cluster is not None:
            return f"{self.backend}, over a ray cluster ({self.cluster})"
        return self.backend if self.device == "cpu" else f"{self.backend} on {self.device}"


def run(
    pipeline: "Pipeline", events: "dict[str, NDArray]", record: str, where: Where, progress: "Callable[[int, int], None] | None" = None
) -> "PipelineRun":
    """The recordings, with every state where every layer is recorded, and the seconds they took."""
    from snnfuse.hardware.backends.run_pipeline import run_pipeline

    memory = None if where.memory is None else where.memory * MIB
    return run_pipeline(
        pipeline, events, where.backend, record, record == "all", cluster=where.cluster, progress=progress, timeout=where.timeout,
        device=where.device, memory=memory,
    )  # fmt: skip


def events_by_stage(pipeline: "Pipeline", inputs: Path) -> "list[Mapping[str, NDArray]]":
    """What each stage is fed for the samples of a file: those of later stages are what the host carries."""
    from snnfuse.compile.open_samples import open_samples
    from snnfuse.hardware.backends.run_pipeline import run_pipeline

    events = pipeline.encode(open_samples(inputs).named(tuple(pipeline.inputs)).inputs)
    if len(pipeline.programs) == 1:
        return [events]
    return [recording.events for recording in run_pipeline(pipeline, events).recordings]


def result_arrays(pipeline: "Pipeline", recordings: "Sequence[Recording]", record: str = "outputs") -> "dict[str, NDArray]":
    """By output of the last stage: `NAME.spikes`, `NAME.v` of a membrane readout (both (time, batch, *shape)), and `NAME.classes` (batch,).
    With record="all" by layer too: `NAME.spikes`, which are numbers where its spikes are graded, and its states, as `NAME.u`; of several
    stages every stage's, as `stage1/NAME.spikes`, and what it was fed, as `stage1/NAME.events`.
    """
    from snnfuse.hardware.ir.pipeline import stage_folder

    if len(pipeline.programs) == 1:
        return _arrays(pipeline.programs[0], recordings[0], record)
    arrays = _arrays(pipeline.programs[-1], recordings[-1])
    for number, (program, recording) in enumerate(zip(pipeline.programs, recordings)) if record == "all" else ():
        fed = {f"{name}.events": array for name, array in recording.events.items()}
        arrays |= {f"{stage_folder(number)}/{name}": array for name, array in {**_arrays(program, recording, "all"), **fed}.items()}
    return arrays


def _arrays(program: "Program", recording: "Recording", record: str = "outputs") -> "dict[str, NDArray]":
    from snnfuse.hardware.ir.encoding import membrane

    names = program.outputs if record == "outputs" else recording.spikes
    arrays: dict[str, NDArray] = {f"{name}.spikes": recording.spikes[name] for name in names}
    if record == "all":
        arrays |= {f"{name}.{x}": values for name, states in recording.states.items() for x, values in states.items()}
    for name, output in program.outputs.items():
        if output.node in recording.states and program.neurons[output.node].membrane:
            arrays[f"{name}.v"] = membrane(program, recording, output.node)
        if output.unit is not None:
            arrays[f"{name}.values"] = program.values(recording, name)
        arrays[f"{name}.classes"] = program.decode(recording, name)
    return arrays


def write_arrays(path: Path, arrays: "dict[str, NDArray]") -> None:
    """Write an .npz file under exactly this name; InputError where it cannot be written."""
    import io

    import numpy as np

    from snnfuse.hardware.files import write_whole

    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_whole(path, content.getbuffer())
