"""Run Lava's own resonate-and-fire on a job.npz, in a process of its own: python lava_rf_run.py FOLDER."""

import os
import sys
from pathlib import Path

import numpy as np

from snnfuse.hardware import ResonateAndFire
from snnfuse.hardware.backends.lava import stock
from snnfuse.hardware.backends.lava.compat import patched_imports
from snnfuse.hardware.backends.lava.processes.events import EventSource
from snnfuse.hardware.backends.lava.recorders import TAP, make_tap, tapped
from snnfuse.hardware.backends.lava.running import run_to_end

with patched_imports():
    from lava.proc.rf.models import PyRFModelFixed
    from lava.proc.rf.process import RF


def run(folder: Path) -> None:
    job = np.load(folder / "job.npz")
    steps, neurons = job["x"].shape
    numbers = {name: job[name].item() for name in ("period", "alpha", "vth", "state_exp", "decay_bits")}
    neuron = RF(shape=(neurons,), **numbers)
    for name, port in (("x", neuron.a_real_in), ("y", neuron.a_imag_in)):
        np.save(folder / f"{name}.npy", job[name])
        EventSource(path=str(folder / f"{name}.npy"), shape=(neurons,)).s_out.connect(port)
    like = ResonateAndFire((neurons,), 0, 0, 0)  # only its shape and the names of its states count here
    neuron.proc_params[TAP] = tap = make_tap(folder, "rf", like, steps, 0, states=True)
    model = {neuron: tapped(PyRFModelFixed)}
    run_to_end(neuron, steps, stock.Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=model))
    found = {name: np.load(tap.files[x]) for name, x in (("spikes", "s"), ("real", "real"), ("imag", "imag"))}
    registers = {name: getattr(neuron, name).init for name in ("sin_decay", "cos_decay", "vth")}
    np.savez(folder / "found.npz", **found, **registers)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
    os._exit(0)  # past Lava's own clean-up at exit
