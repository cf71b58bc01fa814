"""lava-dl's netx on Lava, timed, in a process of its own: python -m benchmarks.netx_on_lava FILE.net IMAGE.npy STEPS.

IMAGE is int32 (x, y, channel) and is written into the first neurons' bias, or held at the input of sigma-delta ones. Prints JSON: the
seconds that STEPS steps take after two that are not counted, in which Lava's processes have started.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from snnfuse.hardware.backends.lava import stock
from snnfuse.hardware.backends.lava.compat import patched_imports
from snnfuse.hardware.backends.lava.descendants import end_descendants
from snnfuse.hardware.backends.lava.models import process_models

with patched_imports():
    from lava.lib.dl import netx
    from lava.proc import io

UNCOUNTED = 2


def seconds(file: Path, image: np.ndarray, steps: int) -> float:
    """How long so many steps take."""
    net = netx.hdf5.Network(net_config=str(file))
    if type(net.in_layer.neuron) is stock.Delta:
        source = io.source.RingBuffer(data=image[..., None])
        source.s_out.connect(net.in_layer.neuron.a_in)
    else:
        net.in_layer.neuron.bias_mant.init = image.astype(int)
    models = process_models() | {getattr(stock, kind): getattr(stock, f"Py{kind}ModelFixed") for kind in ("Sigma", "Delta", "SigmaDelta")}
    net.create_runtime(run_cfg=stock.Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=models))
    _run(net, UNCOUNTED)
    start = time.perf_counter()
    _run(net, steps)
    return time.perf_counter() - start


def _run(net: netx.hdf5.Network, steps: int) -> None:
    """Run on; Lava's own run() would wait for ever for a process that failed."""
    net.runtime.start(stock.RunSteps(steps, blocking=False))
    while not all(port.probe() for port in net.runtime.service_to_runtime):
        failed = [actor.exception[1] for actor in net.runtime._messaging_infrastructure.actors if actor.exception]
        if failed:
            sys.exit(f"Lava failed: {failed[0]}")
        time.sleep(1e-3)
    net.runtime.wait()


if __name__ == "__main__":
    taken = seconds(Path(sys.argv[1]), np.load(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps({"seconds": taken}))
    sys.stdout.flush()
    end_descendants(0.1)  # Lava's processes, which would keep this output open
    os._exit(0)  # past Lava's clean-up at exit, which can hang
