"""One neuron on a real chip, against the emulator and Lava: `python -m benchmarks.chip_trace [--data-dir DIR] [--json -]`.

The trace (1,000 steps of one LIF neuron: input, voltage, spike) was recorded on Loihi by the authors of the NIR paper. While the neuron
fires the chip's probe reads 128, a marker, where both models hold 0: those rows are counted as different, not explained away.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from benchmarks.braille import report
from snnfuse.hardware import Connection, Dense, Lif, Output, Program, Recording, SpikeInput, emulate, simulate_on_lava

TRACE = "nir_paper/lif_lava_loihi_fixed.csv"


def program() -> Program:
    """The neuron of the NIR paper's first experiment: weight 10, no current, voltage decay 163/4096, threshold 25."""
    neuron = Lif((1,), du=4095, dv=163, vth=25)
    weight = Dense(np.array([[10]], np.int32))
    return Program({"x": SpikeInput((1,)), "lif": neuron}, (Connection("x", "lif", weight),), {"output": Output("lif")})


def equal_rows(recording: Recording, voltage: np.ndarray, spike: np.ndarray) -> str:
    """A window starts at the step after its input, as the chip's rows do one step later: the last step of the run is not in the trace."""
    spikes, v = recording.spikes["lif"][:-1, 0, 0], recording.states["lif"]["v"][:-1, 0, 0]
    same_spikes, same_v = int((spikes == spike[1:]).sum()), int((v == voltage[1:]).sum())
    return f"spikes {same_spikes + int(spike[0] == 0)} of {len(spike)}, voltages {same_v + int(voltage[0] == 0)} of {len(voltage)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("SNNFUSE_DATA", "../shared/data")))
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    if not (options.data_dir / TRACE).exists():
        sys.exit(f"error: no {TRACE} in {options.data_dir}; give the folder with --data-dir")
    events, voltage, spike = np.loadtxt(options.data_dir / TRACE, delimiter=",").T
    inputs = {"x": events.astype(np.int32)[:, None, None]}
    runs = {"emulator": emulate, "Lava": simulate_on_lava}
    figures = {f"{name} against the chip": equal_rows(run(program(), inputs, "all", True), voltage, spike) for name, run in runs.items()}
    report(figures, options.json)


if __name__ == "__main__":
    main()
