"""Run Lava's own sigma-delta processes, one per job.npz in a folder of FOLDER, in a process of its own: python lava_sdn_run.py FOLDER."""

import os
import sys
from pathlib import Path

import numpy as np

from snnfuse.hardware import Delta, Sigma, SigmaDelta
from snnfuse.hardware.backends.lava import stock
from snnfuse.hardware.backends.lava.processes.events import EventSource
from snnfuse.hardware.backends.lava.recorders import TAP, make_tap, tapped
from snnfuse.hardware.backends.lava.running import run_to_end

LIKE = {"Sigma": Sigma((1,)), "Delta": Delta((1,), 0), "SigmaDelta": SigmaDelta((1,), 0)}


def run(folder: Path) -> None:
    job = np.load(folder / "job.npz")
    steps, neurons = job["x"].shape
    kind = str(job["kind"])
    settings = {name: job[name].item() for name in job.files if name not in ("x", "kind")}
    neuron = getattr(stock, kind)(shape=(neurons,), **settings)
    np.save(folder / "x.npy", job["x"])
    EventSource(path=str(folder / "x.npy"), shape=(neurons,)).s_out.connect(neuron.a_in)
    like = LIKE[kind]  # only its kind's names of states count here
    object.__setattr__(like, "shape", (neurons,))
    neuron.proc_params[TAP] = tap = make_tap(folder, "sdn", like, steps, 0, states=True)
    model = {neuron: tapped(getattr(stock, f"Py{kind}ModelFixed"))}
    run_to_end(neuron, steps, stock.Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=model))
    np.savez(folder / "found.npz", **{name: np.load(file) for name, file in tap.files.items()})


if __name__ == "__main__":
    for job in sorted(Path(sys.argv[1]).iterdir()):
        run(job)
    os._exit(0)  # past Lava's own clean-up at exit
