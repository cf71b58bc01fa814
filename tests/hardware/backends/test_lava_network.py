"""The process graph: stock processes wherever Lava has them, ports that one can wire on, and a recording that is Lava's own."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from scipy import sparse

from snnfuse.hardware import (
    AlphaLif,
    BiasedLif,
    Connection,
    Constant,
    Conv2d,
    Delta,
    Dense,
    GradedInput,
    InverseRoot,
    Lif,
    Output,
    Product,
    Program,
    Relay,
    ResonateAndFire,
    Sigma,
    SigmaDelta,
    Sparse,
    SpikeInput,
    compare,
    emulate,
)
from snnfuse.hardware.backends.lava import patched_imports, require_lava, simulate_on_lava, to_lava
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.kinds import NEURONS
from snnfuse.hardware.ir.lif import Reset

require_lava()  # fails with the command that installs it


def dense(out: int, source: int, exponent: int = 0) -> Dense:
    return Dense(np.full((out, source), 2, np.int32), exponent)


def conv(exponent: int = 0, weight: int = 2) -> Conv2d:
    return Conv2d(np.full((1, 1, 2, 2), weight, np.int32), (1, 3, 3), exponent=exponent)


def kinds(program: Program, steps: int | None = None) -> list[str]:
    """Class names of the synapse processes."""
    return [type(synapse).__name__ for synapse in to_lava(program, steps).synapses]


def image_program(synapse: object, source: object = None, delay: int = 0) -> Program:
    nodes = {"in": source or SpikeInput((1, 3, 3)), "out": Lif((1, 2, 2), 0, 0, 1)}
    return Program(nodes, (Connection("in", "out", synapse, delay),), {"out": Output("out")})


@pytest.mark.parametrize(
    "synapse, source, delay, expected",
    [
        (dense(4, 9), None, 0, "Dense"),
        (dense(4, 9), None, 1, "DelayDense"),
        (dense(4, 9), GradedInput((1, 3, 3), 8, 1.0), 1, "DelaySparse"),
        (Sparse(sparse.csr_matrix((4, 9), dtype=np.int32)), None, 0, "Sparse"),
        (Sparse(sparse.csr_matrix((4, 9), dtype=np.int32)), None, 62, "DelaySparse"),
        (conv(), None, 0, "Conv"),
        (conv(7), None, 0, "Conv"),
        (conv(-1), None, 0, "Sparse"),
        (conv(), None, 1, "DelaySparse"),
        (conv(weight=1), GradedInput((1, 3, 3), 22, 1.0), 0, "Conv"),  # 4 (2**21 - 1) < 2**23
        (conv(weight=1), GradedInput((1, 3, 3), 23, 1.0), 0, "Sparse"),
    ],
)
def test_each_synapse_is_the_stock_process_that_computes_it(synapse, source, delay: int, expected: str) -> None:
    assert kinds(image_program(synapse, source, delay)) == [expected]


@pytest.mark.parametrize("exponent, source", [(-1, SpikeInput((32, 12, 12))), (-3, GradedInput((32, 12, 12), 8, 1.0))])
def test_a_large_kernel_with_a_negative_exponent_sends_what_a_sparse_does(exponent: int, source: SpikeInput | GradedInput) -> None:
    """1.2 million synapses: the convolution of our own beside Lava's Sparse of the same matrix, and the emulator."""
    rng = np.random.default_rng(0)
    kernel = Conv2d(2 * rng.integers(-30, 40, (32, 32, 3, 3), dtype=np.int32), (32, 12, 12), padding=(1, 1), exponent=exponent)
    listed = Sparse(kernel.matrix(), exponent)
    nodes = {"in": source, "kernel": Lif((32, 12, 12), 4095, 1000, 900), "listed": Lif((32, 12, 12), 4095, 1000, 900)}
    program = Program(nodes, (Connection("in", "kernel", kernel), Connection("in", "listed", listed)), {"out": Output("kernel")})
    assert kinds(program) == ["ShiftedConv", "Sparse"]
    top = source.limit if isinstance(source, GradedInput) else 1
    events = {"in": rng.integers(-top if top > 1 else 0, top + 1, (5, 1, 32, 12, 12)).astype(np.int32)}
    lava = simulate_on_lava(program, events, "all", states=True)
    assert compare(emulate(program, events, "all", states=True), lava).mismatches == 0
    assert (lava.states["kernel"]["u"] == lava.states["listed"]["u"]).all() and lava.spikes["kernel"].any()
    assert (lava.states["kernel"]["u"] % 64 == 0).all() and ((lava.states["kernel"]["u"] < 0).any())


def test_neurons_are_stock_except_where_lava_has_none() -> None:
    nodes = {"in": SpikeInput((2,)), "z": Lif((1,), 0, 0, 1), "s": Lif((1,), 0, 0, 1, reset="subtract"), "one": Constant()}
    nodes["d"] = Lif((1,), 0, 0, 1, reset="subtract_delayed")
    links = (*(Connection("in", name, dense(1, 2)) for name in "zsd"), Connection("one", "z", dense(1, 1)))
    program = Program(nodes, links, {"out": Output("z")})
    free, windowed = to_lava(program), to_lava(program, steps=5)
    names = {name: type(process).__name__ for name, process in free.neurons.items()}
    assert names == {"z": "LIF", "s": "LIFSubtract", "d": "LIFSubtractDelayed"}
    assert type(windowed.neurons["z"]).__name__ == "LIFReset" and type(free.constants["one"]).__name__ == "LIF"
    assert not free.resets and not windowed.resets


def test_a_recurrent_synapse_is_cleared_before_each_window() -> None:
    program = Program(
        {"in": SpikeInput((2,)), "a": Lif((3,), 0, 0, 1)},
        (Connection("in", "a", dense(3, 2), delay=4), Connection("a", "a", dense(3, 3))),
        {"out": Output("a")},
    )
    (reset,) = to_lava(program, steps=3).resets
    assert int(reset.interval.init) == 3 and int(reset.offset.init) == (program.latency["a"] - 1) % 3 == 1


def test_ports_are_there_by_name_and_wiring_is_checked() -> None:
    network = to_lava(image_program(conv()))
    assert [port.shape for port in network.inputs["in"]] == [(3, 3, 1)]
    assert network.outputs["out"] is network.neurons["out"].s_out
    with pytest.raises(InputError, match="no input 'sound'; this program has in"):
        network.feed("sound", network.outputs["out"])
    with pytest.raises(InputError, match=r"input 'in' has shape \(1, 3, 3\), the port \(1, 2, 2\)"):
        network.feed("in", network.outputs["out"])
    with pytest.raises(InputError, match="at least one step, not 0"):
        to_lava(image_program(conv()), steps=0)


def test_the_table_of_models_is_what_lava_finds_by_itself() -> None:
    from snnfuse.hardware.backends.lava import stock
    from snnfuse.hardware.backends.lava.models import MODELS, process_models
    from snnfuse.hardware.backends.lava.processes.events import EventSource
    from snnfuse.hardware.backends.lava.synapses import build_synapse

    nodes = {"in": SpikeInput((1, 3, 3)), "one": Constant(), "r": Relay((1, 2, 2)), "p": Product((1, 2, 2)), "i": InverseRoot((1, 2, 2), 9)}
    nodes |= {"sum": Sigma((1, 2, 2)), "change": Delta((1, 2, 2), 9), "both": SigmaDelta((1, 2, 2), 9)}
    nodes |= {f"biased {reset}": BiasedLif((1, 2, 2), 0, 0, 1, reset=reset) for reset in get_args(Reset)}
    nodes |= {"rf": ResonateAndFire((1, 2, 2), 9, 9, 9), "alpha": AlphaLif((1, 2, 2), 9, 9, 9, 9)}
    nodes |= {reset: Lif((1, 2, 2), 0, 0, 1, reset=reset) for reset in get_args(Reset)}
    listed = Sparse(sparse.identity(4, np.int32, "csr"))
    links = [Connection("in", name, conv()) for name in ("r", "p", "i", "rf", "alpha", *get_args(Reset)[1:])]
    links += [Connection("one", "p", dense(4, 1), port=1), Connection("r", "r", listed), Connection("in", "zero", dense(4, 9), 1)]
    links += [Connection("subtract", "zero", Sparse(listed.weights)), Connection("zero", "zero", listed, lag=1)]
    network = to_lava(Program(nodes, tuple(links), {}), steps=9)
    found = [*network.neurons.values(), *network.constants.values(), *network.synapses, *network.resets]
    large = Conv2d(np.full((32, 32, 3, 3), 2, np.int32), (32, 12, 12), padding=(1, 1), exponent=-1)
    found += [EventSource(path="", shape=(1,)), build_synapse(Connection("in", "k", large), SpikeInput((32, 12, 12)), "k")]
    models = process_models()
    own = {process for kind in NEURONS if kind.is_own and kind.lava for process in kind.form("lava").models}
    assert {type(process) for process in found} == {*MODELS, *own} <= set(models)
    with patched_imports():
        from lava.magma.compiler.compiler_graphs import ProcGroupDiGraphs
    for process in found:
        config = stock.Loihi2SimCfg(select_tag="fixed_pt")
        model = ProcGroupDiGraphs._select_proc_models(process, ProcGroupDiGraphs._find_proc_models(process), config)
        assert issubclass(models[type(process)], model) or models[type(process)].__name__ == model.__name__


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from snnfuse.hardware.backends.lava import stock, to_lava, patched_imports
from snnfuse.hardware.ir.storage import load_program
with patched_imports():
    from lava.proc.io.source import RingBuffer
    from lava.proc.monitor.process import Monitor

folder, time, batch = Path(sys.argv[1]), 6, 3
program = load_program(folder)
network = to_lava(program, steps=time)
steps = time * batch + max(program.latency.values())
rows = np.load(folder / "rows.npy")
data = np.zeros((*rows.shape[1:], steps), np.int32)
data[..., : len(rows)] = np.moveaxis(rows, 0, -1)
network.feed("in", RingBuffer(data=data).s_out)
found = {}
monitors = {}
for name, process in network.neurons.items():
    for variable, what in {"s": process.s_out, "u": process.u, "v": process.v}.items():
        monitors[name, variable] = monitor = Monitor()
        monitor.probe(what, steps)
first = next(iter(network.neurons.values()))
first.run(condition=stock.RunSteps(steps), run_cfg=stock.Loihi2SimCfg(select_tag="fixed_pt"))
for (name, variable), monitor in monitors.items():
    ((values,),) = (entry.values() for entry in monitor.get_data().values())
    found[f"{name}.{variable}"] = values
first.stop()
np.savez(folder / "found.npz", **found)
"""


def test_a_recording_is_what_lavas_own_monitor_reads_from_stock_models(tmp_path: Path) -> None:
    from snnfuse.hardware.ir.storage import save_program

    rng = np.random.default_rng(5)
    even = lambda *shape: (2 * rng.integers(-128, 128, shape)).astype(np.int32)  # noqa: E731
    program = Program(
        {
            "in": SpikeInput((4,)),
            "a": Lif((5,), 3000, 200, 20, bias_mant=9),
            "b": Lif((3,), 4095, 50, 30, reset="subtract"),
            "c": Lif((3,), 4095, 50, 30, bias_mant=40, reset="subtract_delayed"),
        },
        (
            Connection("in", "a", Dense(even(5, 4))),
            Connection("a", "a", Dense(even(5, 5), 1)),
            Connection("a", "b", Dense(even(3, 5))),
            Connection("a", "c", Dense(even(3, 5)), delay=1),
        ),
        {"out": Output("b")},
    )
    events = rng.integers(0, 2, (6, 3, 4)).astype(np.int32)
    save_program(program, tmp_path)
    np.save(tmp_path / "rows.npy", events.swapaxes(0, 1).reshape(18, 4))
    (tmp_path / "script.py").write_text(SCRIPT)
    subprocess.run([sys.executable, tmp_path / "script.py", tmp_path], check=True, timeout=120, capture_output=True)
    monitored = np.load(tmp_path / "found.npz")
    recording = simulate_on_lava(program, {"in": events}, record="all", states=True)
    for name in program.neurons:
        for variable, recorded in {"s": recording.spikes[name], **recording.states[name]}.items():
            window = monitored[f"{name}.{variable}"][program.latency[name] :][:18]
            np.testing.assert_array_equal(recorded.swapaxes(0, 1).reshape(18, -1), window.reshape(18, -1))
            assert len(np.unique(window)) > 1
