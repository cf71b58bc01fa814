"""The real netx, as a script: what it makes of weights, and what each layer of its networks sends on Lava.

    python netx_run.py FOLDER

FOLDER/weights.npz holds weight matrices; weights_out.npz gets what Lava's Dense runs of each, as NAME, and NAME_how: bits, exponent.
Every other folder in it holds net.net and x.npy, int32 (time, batch, *shape), and gets a bool array (time, batch, *shape) per layer
with neurons: 0.npy, 1.npy, ... Samples run back to back with netx's own reset and `reset_offset=1`, with which each layer's state is
cleared at the start of its window; what recurrent and delayed synapses hold is not, so give these one sample.
"""

import os
import sys
from pathlib import Path

import numpy as np

from snnfuse.hardware.backends.lava import stock
from snnfuse.hardware.backends.lava.compat import patched_imports
from snnfuse.hardware.backends.lava.models import process_models
from snnfuse.hardware.backends.lava.processes.events import EventSource
from snnfuse.hardware.backends.lava.recorders import TAP, make_tap
from snnfuse.hardware.backends.lava.running import run_to_end
from snnfuse.hardware.ir.lif import Lif

with patched_imports():
    from lava.lib.dl import netx
    from lava.lib.dl.netx.utils import optimize_weight_bits
    from lava.utils.weightutils import clip_weights, determine_sign_mode, truncate_weights


def weights(folder: Path) -> None:
    """As lava.proc.dense.models does it on its first step."""
    found = {}
    for name, values in np.load(folder / "weights.npz").items():
        built, bits, exponent, _ = optimize_weight_bits(values)
        mode = determine_sign_mode(built)
        found |= {name: truncate_weights(clip_weights(built, mode, num_bits=8), mode, bits), f"{name}_how": [bits, exponent]}
    np.savez(folder / "weights_out.npz", **found)


def run(folder: Path) -> None:
    x = np.load(folder / "x.npy")
    time, batch = x.shape[:2]
    net = netx.hdf5.Network(net_config=str(folder / "net.net"), reset_interval=time, reset_offset=1)
    rows = x.swapaxes(0, 1).reshape(time * batch, *x.shape[2:])
    np.save(folder / "rows.npy", backwards(rows).reshape(len(rows), *net.inp.shape))
    source = EventSource(path=str(folder / "rows.npy"), shape=tuple(net.inp.shape))
    source.s_out.connect(net.inp)
    for i, layer in enumerate(net.layers):
        population = Lif(tuple(layer.shape), 0, 0, 0)  # only its shape counts here
        layer.neuron.proc_params[TAP] = make_tap(folder, str(i), population, len(rows), 1 + i, states=False)
    run_to_end(net, len(rows) + len(net.layers), stock.Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=process_models()))
    for i in range(len(net.layers)):
        spikes = backwards(np.load(folder / f"{i}_s.npy"))
        np.save(folder / f"{i}.npy", spikes.reshape(batch, time, *spikes.shape[1:]).swapaxes(0, 1))


def backwards(rows: np.ndarray) -> np.ndarray:
    """(steps, C, H, W) to Lava's (steps, W, H, C), and back."""
    return rows.transpose(0, *range(rows.ndim - 1, 0, -1))


if __name__ == "__main__":
    place = Path(sys.argv[1])
    weights(place)
    for job in sorted(path for path in place.iterdir() if path.is_dir()):
        run(job)
    sys.stdout.flush()
    os._exit(0)  # past Lava's clean-up at exit, which can hang
