"""The real netx, as a script: what it makes of weights, and what each layer of its networks sends on Lava.

    python netx_run.py FOLDER

FOLDER/weights.npz holds weight matrices; weights_out.npz gets what Lava's Dense runs of each, as NAME, and NAME_how: bits, exponent.
Every other folder in it holds net.net and x.npy, int32 (time, batch, *shape), and gets an array (time, batch, *shape) per layer with
neurons, of what it sends: 0.npy, 1.npy, ... and, with states, 0_u.npy and so on. job.json may hold netx's own arguments, and
"states": true.

Samples of spikes run back to back with netx's own reset and `reset_offset=1`, with which each layer's state is cleared at the start of its
window; what recurrent and delayed synapses hold is not, so give these one sample. An image of an input layer with LIF neurons, one sample
that stays as it is, becomes their bias; numbers for one with sigma-delta neurons go into them. Sigma-delta networks are never cleared.
"""

import json
import os
import sys
from pathlib import Path

import h5py
import numpy as np

from snnfuse.hardware import Delta, Sigma, SigmaDelta
from snnfuse.hardware.backends.lava import stock
from snnfuse.hardware.backends.lava.compat import patched_imports
from snnfuse.hardware.backends.lava.models import process_models
from snnfuse.hardware.backends.lava.processes.events import EventSource
from snnfuse.hardware.backends.lava.recorders import TAP, make_tap, tapped
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
    x, job = np.load(folder / "x.npy"), folder / "job.json"
    options = json.loads(job.read_text()) if job.exists() else {}
    states = options.pop("states", False)
    time, batch = x.shape[:2]
    first = type(netx.hdf5.Network(net_config=str(folder / "net.net"), **options).layers[0].neuron)
    offset = 0 if first is stock.LIF and not _is_fed(folder, options) else 1
    resets = {} if first in SIGMA_DELTA else {"reset_interval": time, "reset_offset": offset}
    net = netx.hdf5.Network(net_config=str(folder / "net.net"), **resets, **options)
    rows = x.swapaxes(0, 1).reshape(time * batch, *x.shape[2:])
    _feed(net, folder, backwards(rows), written=not offset)
    taps = []
    for i, layer in enumerate(net.layers):
        shape = tuple(int(n) for n in layer.shape)
        like = SIGMA_DELTA[type(layer.neuron)](shape) if resets == {} else Lif(shape, 0, 0, 0)  # only its shape and names of states count
        taps.append(make_tap(folder, str(i), like, len(rows), offset + i if resets else 0, states=states))
        layer.neuron.proc_params[TAP] = taps[-1]
    models = process_models() | {getattr(stock, kind): tapped(getattr(stock, f"Py{kind}ModelFixed")) for kind in KINDS}
    run_to_end(net, len(rows) + len(net.layers), stock.Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=models))
    for i, tap in enumerate(taps):
        for variable, file in tap.files.items():
            values = backwards(np.load(file))
            name = f"{i}.npy" if variable == "s" else f"{i}_{variable}.npy"
            np.save(folder / name, values.reshape(batch, time, *values.shape[1:]).swapaxes(0, 1))


KINDS = ("Sigma", "Delta", "SigmaDelta")
SIGMA_DELTA = {stock.Sigma: Sigma, stock.Delta: lambda shape: Delta(shape, 0), stock.SigmaDelta: lambda shape: SigmaDelta(shape, 0)}


def _is_fed(folder: Path, options: dict) -> bool:
    """Whether spikes are fed to the first layer, and no image is written into its neurons."""
    with h5py.File(folder / "net.net") as file:
        return "neuron" not in file["layer/0"] or file["layer/0/type"][0] != b"input" or options.get("skip_layers", 0) > 0


def _feed(net: netx.hdf5.Network, folder: Path, rows: np.ndarray, written: bool) -> None:
    if written:
        assert (rows == rows[:1]).all()
        net.in_layer.neuron.bias_mant.init = rows[0].astype(int)
        return
    port = net.in_layer.neuron.a_in if type(net.in_layer.neuron) is stock.Delta else net.inp
    np.save(folder / "rows.npy", rows.reshape(len(rows), *port.shape))
    EventSource(path=str(folder / "rows.npy"), shape=tuple(port.shape)).s_out.connect(port)


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
