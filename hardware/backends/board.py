"""A Program on a Loihi 2 board, through Intel's private lava-loihi; on the CPU where that is not installed.

No board was available to this project: what runs here is tested with a stand-in for the private package, and nothing has run on a
chip. What the stand-in cannot tell is assumed and can be set: that adapters pass spikes on within the step (`input_delay`,
`output_delay`). Importing this module does not import Lava.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.lava.child import job_folder, run_module
from snnfuse.hardware.backends.lava.compat import require_lava
from snnfuse.hardware.backends.lava.profiling import MEASURED
from snnfuse.hardware.backends.lava.simulate import default_time_limit, file_stem, write_job
from snnfuse.hardware.backends.registry import run_on
from snnfuse.hardware.chip import tier
from snnfuse.hardware.errors import EnvironmentProblem, InputError, UnsupportedError
from snnfuse.hardware.ir.encoding import check_events
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recorded import make_recording, recorded_nodes
from snnfuse.hardware.ir.recording import Comparison, Recording, compare

WORKER = "snnfuse.hardware.backends.lava.board_worker"
QUEUE_S = 3600.0  # that a board may be waited for


@dataclass(frozen=True)
class Host:
    """Where the board is, and how many steps spikes take to it and back.

    Attributes:
        partition, board: of Slurm; at most one. None of both and no `ethernet`: as the environment says.
        ethernet: address of a board's host.
        generation: of the chip, as Lava names it, such as N3B3; None for Lava's default.
        input_delay, output_delay: steps in the adapters, >= 0; assumed to be none.
    """

    partition: str | None = None
    board: str | None = None
    ethernet: str | None = None
    generation: str | None = None
    input_delay: int = 0
    output_delay: int = 0

    def __post_init__(self) -> None:
        given = [name for name in ("partition", "board", "ethernet") if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)} name different places; give one")
        if min(self.input_delay, self.output_delay) < 0:
            raise InputError(f"adapters take no fewer than 0 steps, not {min(self.input_delay, self.output_delay)}")


@dataclass(frozen=True)
class BoardCheck:
    """Golden vectors against a run.

    Attributes:
        backend: "loihi2", or which backend on the CPU took its place.
        about: a sentence for a person.
        comparison: of the spikes of `nodes`.
        nodes: what was compared.
        measured: by run, what Lava's profilers measured, as `snnfuse.hardware.backends.lava.profiling` says; empty without a board.
    """

    backend: str
    about: str
    comparison: Comparison
    nodes: tuple[str, ...]
    measured: tuple[Mapping[str, Any], ...] = ()

    @property
    def on_board(self) -> bool:
        """Whether a chip has run it."""
        return self.backend == "loihi2"


def is_board_software_installed() -> bool:
    """Whether lava-loihi can be imported here, by Lava's own test."""
    try:
        require_lava()
        from lava.utils.loihi import is_installed
    except (EnvironmentProblem, ImportError):
        return False
    try:
        return is_installed()
    except ModuleNotFoundError:
        return False


def check_on_board(
    program: Program,
    events: Mapping[str, NDArray],
    golden: Recording,
    host: Host | None = None,
    timeout: float | None = None,
) -> BoardCheck:
    """Run golden inputs on a board, or on the CPU where lava-loihi is missing, and compare spikes.

    Args:
        program: what to run.
        events: integers (time, batch, *shape) per input.
        golden: what the program made of them, every layer.
        host: where the board is.
        timeout: seconds that it may take.

    Raises:
        UnsupportedError: a population that needs microcode, or synapses that would have to be cleared, on a board.
        EnvironmentProblem: Lava failed, a process has no NeuroCore model, or it did not end in time.
    """
    nodes = spiking_nodes(program)
    measured: list[dict[str, Any]] = []
    if is_board_software_installed():
        recording, measured = profiled_run(program, events, nodes, host or Host(), timeout)
        backend, about = "loihi2", "ran on the board that lava-loihi found"
    else:
        backend, about = _cpu_backend()
        recording = run_on(backend, program, events, nodes, timeout=timeout if backend == "lava" else None).recording
    expected = make_recording(program, {name: golden.spikes[name] for name in recording_nodes(program, nodes)}, {}, "golden", events)
    return BoardCheck(backend, about, compare(expected, recording), tuple(nodes), tuple(measured))


def _cpu_backend() -> tuple[str, str]:
    missing = "no board was used: lava-loihi, Intel's package for members of its research community, is not installed; ran on the CPU"
    try:
        require_lava()
    except EnvironmentProblem:
        return "emulator", f"{missing}, on the emulator, for Lava is not installed either"
    return "lava", f"{missing}, on Lava's fixed-point models"


def recording_nodes(program: Program, nodes: list[str]) -> list[str]:
    """What a recording of these nodes holds: outputs too."""
    return recorded_nodes(program, nodes, False)[0]


def spiking_nodes(program: Program) -> list[str]:
    """Outputs that count spikes, and what feeds those that read a membrane, which never fires."""
    found: dict[str, None] = {}
    for output in program.outputs.values():
        silent = output.reads_membrane
        feeding = [c.source for c in program.into(output.node) if c.source in program.neurons and not c.is_recurrent]
        found |= dict.fromkeys(feeding if silent else [output.node])
    return list(found) or list(program.neurons)


def run_on_board(program: Program, events: Mapping[str, NDArray], nodes: list[str], host: Host, timeout: float | None = None) -> Recording:
    """Spikes of some populations, from a board: the first part of `profiled_run`."""
    return profiled_run(program, events, nodes, host, timeout)[0]


def profiled_run(
    program: Program, events: Mapping[str, NDArray], nodes: list[str], host: Host, timeout: float | None = None
) -> tuple[Recording, list[dict[str, Any]]]:
    """Spikes of some populations, from a board, and what Lava's profilers measured of each run, where lava-loihi has any.

    Samples run back to back. Where synapses hold something from one sample to the next, recurrent and lagging ones, each sample is a
    run of its own: public Lava has no NeuroCore model of what would clear them.

    Args and errors: as `check_on_board`; nodes: populations to record.

    Returns:
        Recording of the nodes and the outputs; membranes are not read.
    """
    refuse_microcode(program)
    arrays = check_events(program, events)
    recorded = recording_nodes(program, nodes)
    time, batch = next(iter(arrays.values())).shape[:2]
    samples = 1 if holds_spikes(program) else batch
    runs = batch // samples
    limit = QUEUE_S + default_time_limit(program, time * batch) if timeout is None else timeout
    with job_folder() as folder:
        for name, array in arrays.items():
            rows = np.ascontiguousarray(array.swapaxes(0, 1)).reshape(runs, samples * time, *array.shape[2:])
            for run in range(runs):
                np.save(folder / f"{file_stem(program, name)}_{run}.npy", rows[run])
        write_job(folder, program, {"time": time, "samples": samples, "runs": runs, "nodes": recorded} | asdict(host))
        run_module(WORKER, folder, limit, "Lava, running on a board,")
        spikes = {name: _read(folder, program, name, runs, time) for name in recorded}
        measured = json.loads((folder / MEASURED).read_text(encoding="utf-8"))
    return make_recording(program, spikes, {}, "loihi2", arrays), measured


def _read(folder: Path, program: Program, node: str, runs: int, time: int) -> NDArray:
    rows = np.concatenate([np.load(folder / f"{file_stem(program, node)}_{run}.npy") for run in range(runs)])
    values = np.ascontiguousarray(rows.reshape(-1, time, *rows.shape[1:]).swapaxes(0, 1))
    return values if program.nodes[node].sends_numbers else values.astype(bool)


def holds_spikes(program: Program) -> bool:
    """Whether synapses hold what was sent in one window until the next; UnsupportedError where biases fill them before the first."""
    held = [f"{c.source} -> {c.target}" for c in program.connections if c.is_recurrent or c.lag]
    biased = [name for name, node in program.nodes.items() if node.is_biased]
    if held and biased:
        raise UnsupportedError(
            f"{', '.join(held)}: what a recurrent or lagging connection holds has to be cleared before a window, for the biases of "
            f"{', '.join(biased)} may fill it, and public Lava has no NeuroCore model that clears it; run it with snnfuse verify"
        )
    return bool(held)


def refuse_microcode(program: Program) -> None:
    """UnsupportedError for populations that stock silicon does not compute."""
    written = [name for name, node in program.inputs.items() if node.is_written]
    hosted = [*written, *(name for name, node in program.neurons.items() if tier(node) == "C")]
    if hosted:
        raise UnsupportedError(
            f"{', '.join(hosted)}: a host computes or writes this per sample, and how it reaches a board is public for netx only: "
            "run network.net with lava-dl's netx there, or stay with the emulator and Lava's CPU models (snnfuse verify)"
        )
    custom = [f"{name} ({node.custom_reset or type(node).__name__})" for name, node in program.neurons.items() if tier(node) != "A"]
    if custom:
        raise UnsupportedError(
            f"these need neuron microcode, which is not public: {', '.join(custom)}; convert with reset='zero' where it is a reset, "
            "or stay with the emulator and Lava's CPU models (snnfuse verify)"
        )
