"""What `snnfuse.hardware.backends.lava.server` runs for `simulate`, which writes a job into the folder."""

import importlib
from pathlib import Path

from snnfuse.hardware.backends.lava.simulate import file_stem, read_job
from snnfuse.hardware.ir.program import Program


def prepare() -> None:
    """Import Lava."""
    for name in ("models", "running"):
        importlib.import_module(f"snnfuse.hardware.backends.lava.{name}")


def main(folder: Path) -> None:
    """Run the job; its recordings are files in the folder."""
    job, program = read_job(folder)
    for part in parts(program):
        if part.neurons.keys() & set(job["nodes"]):
            run_part(folder, program, part, job)


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
        tap = make_tap(folder, file_stem(program, name), part.neurons[name], rows, part.latency[name], states=name in job["states"])
        network.neurons[name].proc_params[TAP] = tap
    process = next(iter(network.neurons.values()))
    run_to_end(process, rows + max(part.latency.values()), run_config(network, sources))
