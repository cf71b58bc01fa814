"""What runs in the child process: `python -m snnfuse.hardware.backends.lava.worker FOLDER`, with a job that `simulate` wrote there."""

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from snnfuse.hardware.backends.lava.child import ERROR, LavaFailed, watch_parent
from snnfuse.hardware.backends.lava.compat import why_not_importable
from snnfuse.hardware.backends.lava.simulate import JOB, file_stem
from snnfuse.hardware.errors import SnnfuseError
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.storage import load_program


def main(folder: Path) -> None:
    """Run the job; its recordings are files in the folder."""
    job = json.loads((folder / JOB).read_text())
    program = load_job(folder, job)
    for part in parts(program):
        if part.neurons.keys() & set(job["nodes"]):
            run_part(folder, program, part, job)


def load_job(folder: Path, job: dict) -> Program:
    """The program of a job, once what its kinds are registered by, which the parent had imported, is imported here too."""
    for module in job["imports"]:
        importlib.import_module(module)
    return load_program(folder)


def parts(program: Program) -> list[Program]:
    """The connected parts of a program, for Lava runs only what is connected."""
    group = {name: {name} for name in program.nodes}
    for connection in program.connections:
        joined = group[connection.source] | group[connection.target]
        group |= dict.fromkeys(joined, joined)
    distinct = {id(names): names for names in group.values()}.values()
    return [_part(program, names) for names in distinct]


def _part(program: Program, names: set[str]) -> Program:
    nodes = {name: node for name, node in program.nodes.items() if name in names}
    return Program(nodes, tuple(c for c in program.connections if c.target in names), {})


def run_part(folder: Path, program: Program, part: Program, job: dict) -> None:
    """Run one connected part over all samples, back to back."""
    from snnfuse.hardware.backends.lava.models import run_config
    from snnfuse.hardware.backends.lava.network import to_lava
    from snnfuse.hardware.backends.lava.processes.events import EventSource
    from snnfuse.hardware.backends.lava.recorders import TAP, make_tap
    from snnfuse.hardware.backends.lava.running import run_to_end

    network, rows = to_lava(part, job["time"]), job["time"] * job["batch"]
    sources = []
    for name, node in part.inputs.items():
        sources.append(EventSource(path=str(folder / f"{file_stem(program, name)}.npy"), shape=tuple(node.shape)))
        network.feed(name, sources[-1].s_out)
    for name in network.neurons.keys() & set(job["nodes"]):
        tap = make_tap(
            folder, file_stem(program, name), part.neurons[name], rows, part.latency[name], states=name in job["states"]
        )
        network.neurons[name].proc_params[TAP] = tap
    process = next(iter(network.neurons.values()))
    run_to_end(process, rows + max(part.latency.values()), run_config(network, sources))


def report(folder: Path, error: BaseException) -> None:
    """One line for the parent, the traceback for whoever looks at the output."""
    traceback.print_exc()
    if isinstance(error, ImportError):
        (folder / ERROR).write_text(why_not_importable(error))
        return
    lines = str(error).strip().splitlines() or [""]
    speaks = isinstance(error, (SnnfuseError, LavaFailed))
    (folder / ERROR).write_text(lines[-1] if speaks else f"{type(error).__name__}: {lines[-1]}")


def run_child(work: Callable[[Path], None]) -> NoReturn:
    """Do the work in the folder that the command line names, and end this process."""
    place = Path(sys.argv[1])
    watch_parent(place)
    status = 0
    try:
        work(place)
    except BaseException as problem:
        report(place, problem)
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # past Lava's own clean-up at exit, which can hang; run_to_end has done it


if __name__ == "__main__":
    run_child(main)
