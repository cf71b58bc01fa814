"""Draw docs/raster.svg: spikes of the example's float network and of its deployed one, those of either alone marked.

python tools/raster_picture.py [BITS]        # of weights; 3 by default, few enough to see what they change
"""

import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))


def main(bits: int = 3) -> None:
    import deploy_your_own as example

    from snnfuse.export import quantize, record_floats, to_nir
    from snnfuse.hardware import emulate
    from snnfuse.hardware.pictures import draw_raster

    torch.manual_seed(0)
    net = example.Net()
    example.train(net)
    (calibration, _), (spikes, _) = example.patterns(64, seed=2), example.patterns(1, seed=3)
    graph = to_nir(net, torch.from_numpy(spikes[0]))
    program = quantize(graph, calibration, weight_bits=bits, max_groups=1)
    deployed = emulate(program, program.encode(spikes), "all")
    draw_raster(record_floats(graph, spikes), deployed, names=("float", f"{bits} bits")).save(ROOT / "docs" / "raster.svg")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
