"""What `snnfuse.hardware.backends.lava.server` runs with Intel's lava-loihi, with a job that `snnfuse.hardware.backends.board` wrote
into the folder.

Events go from the host through a PyToNxAdapter to the chip, spikes come back through a NxToPyAdapter. Neurons and synapses must get
NeuroCore models: Lava's Loihi2HwCfg would otherwise run them on the CPU without a word.
"""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnfuse.hardware.backends.lava.child import LavaFailed
from snnfuse.hardware.backends.lava.profiling import MEASURED, find_profilers
from snnfuse.hardware.backends.lava.simulate import file_stem, read_job
from snnfuse.hardware.backends.lava.worker import parts
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.fixed_point import MESSAGE_BITS
from snnfuse.hardware.ir.program import Program


def prepare() -> None:
    """Import public Lava. What lava-loihi does when it is imported may depend on the environment, which is each job's."""
    importlib.import_module("snnfuse.hardware.backends.lava.stock")


def main(folder: Path) -> None:
    """Run the job; its recordings are files in the folder, and what profilers measured."""
    job, program = read_job(folder)
    choose_host(job)
    measured = []
    for part in parts(program):
        if part.neurons.keys() & set(job["nodes"]):
            measured += [run_part(folder, program, part, job, run) for run in range(job["runs"])]
    (folder / MEASURED).write_text(json.dumps([each for each in measured if each is not None]), encoding="utf-8")


def choose_host(job: Mapping[str, Any]) -> None:
    """Tell Lava where the board is; without any of the settings, the environment says it."""
    from lava.utils import loihi

    generation: dict[str, Any] = {} if job["generation"] is None else {"loihi_gen": loihi.ChipGeneration(job["generation"])}
    try:
        if job["ethernet"] is not None:
            loihi.use_ethernet_host(host_address=job["ethernet"], **generation)
        elif job["partition"] is not None or job["board"] is not None:
            loihi.use_slurm_host(partition=job["partition"], board=job["board"], **generation)
    except (ValueError, ImportError) as error:
        raise LavaFailed(str(error)) from error
    except FileNotFoundError as error:
        raise LavaFailed(f"{error.filename!r}, which Lava looks for the board with, is no command here") from error


def run_part(folder: Path, program: Program, part: Program, job: Mapping[str, Any], run: int) -> dict[str, Any] | None:
    """One connected part over the samples of a run, back to back; returns what profilers measured, None without any."""
    from snnfuse.hardware.backends.lava.network import to_lava
    from snnfuse.hardware.backends.lava.processes.events import EventSource
    from snnfuse.hardware.backends.lava.processes.sink import EventSink
    from snnfuse.hardware.backends.lava.running import run_to_end

    adapters = find_adapters()
    steps, rows = job["time"], job["time"] * job["samples"]
    blank = -job["input_delay"] % steps  # so that events reach the chip when a window begins
    network = to_lava(part, steps, resets=False)
    for name, node in part.inputs.items():
        path = lead_in(folder / f"{file_stem(program, name)}_{run}.npy", blank)
        source = EventSource(path=str(path), shape=tuple(node.shape))
        adapter = adapters.PyToNxAdapter(shape=tuple(node.shape), **message(node))
        source.s_out.connect(adapter.inp)
        network.feed(name, adapter.out)
    start = 1 + blank + job["input_delay"] + job["output_delay"]
    for name in part.neurons.keys() & set(job["nodes"]):
        node, path = part.neurons[name], str(folder / f"{file_stem(program, name)}_{run}.npy")
        np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=(rows, *node.shape))
        adapter = adapters.NxToPyAdapter(shape=tuple(node.shape), **message(node))
        sink = EventSink(path=path, shape=tuple(node.shape), first=start + part.latency[name])
        network.neurons[name].s_out.connect(adapter.inp)
        adapter.out.connect(sink.a_in)
    last = start - 1 + rows + max(part.latency.values())
    profilers = find_profilers(last)
    run_to_end(next(iter(network.neurons.values())), last, hardware_config(network, profilers.callbacks if profilers else []))
    return None if profilers is None else {"nodes": sorted(part.neurons), "samples": job["samples"], **profilers.measured()}


def message(node: Any) -> dict[str, int]:
    """An adapter's argument for spikes that carry a payload."""
    return {"num_message_bits": MESSAGE_BITS} if node.sends_numbers else {}


def lead_in(path: Path, blank: int) -> Path:
    """The file of events with so many silent steps in front."""
    if blank:
        rows = np.load(path)
        np.save(path, np.concatenate([np.zeros((blank, *rows.shape[1:]), rows.dtype), rows]))
    return path


def find_adapters() -> Any:
    """The module with both adapters; lava-loihi brings it."""
    try:
        from lava.proc.embedded_io import spike
    except ImportError as error:
        raise LavaFailed(f"lava-loihi has no lava.proc.embedded_io.spike ({error}); its spike adapters are needed") from error
    return spike


def hardware_config(network: Any, callbacks: list[Any]) -> Any:
    """Loihi2HwCfg with these callbacks, but an error for a neuron or synapse that it would run on the CPU."""
    from lava.magma.core.run_configs import Loihi2HwCfg

    from snnfuse.hardware.backends.lava.processes.events import EventSource, PyEventSourceModel
    from snnfuse.hardware.backends.lava.processes.sink import EventSink, PyEventSinkModel

    on_chip = {*network.neurons.values(), *network.constants.values(), *network.synapses}

    class OnNeuroCores(Loihi2HwCfg):
        """Names what has no model for the chip."""

        def select(self, process: Any, proc_models: list) -> type:
            model = super().select(process, proc_models)
            if process in on_chip and not needs_neurocore(model):
                raise UnsupportedError(
                    f"{process.name!r}: this lava-loihi has no NeuroCore model of {type(process).__name__} and would run "
                    f"{model.__name__} on the CPU; nothing was compared"
                )
            return model

    models = {EventSource: PyEventSourceModel, EventSink: PyEventSinkModel}
    return OnNeuroCores(exception_proc_model_map=models, callback_fxs=callbacks)


def needs_neurocore(model: type) -> bool:
    """Whether a process model asks for a neuromorphic core."""
    from lava.magma.core.resources import NeuroCore

    needed = (one for entry in model.required_resources for one in (entry if isinstance(entry, (list, tuple)) else (entry,)))
    return any(issubclass(resource, NeuroCore) for resource in needed)
