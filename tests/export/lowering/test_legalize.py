"""Networks in a Program's terms: delays, loops over populations, other reset voltages, thresholds without a membrane."""

import json

import nir
import nir_equations
import numpy as np
import pytest
from lowering_graphs import DT, GRID, chain, graph, li, lif, ping_pong, spikes

from snnfuse.export.lowering.float_simulator import simulate
from snnfuse.export.lowering.legalize import legalize
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.export.quantization.quantize_network import quantize
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.program import Program


def outputs(program: Program, x: np.ndarray) -> dict[str, np.ndarray]:
    recording = emulate(program, program.encode(x))
    return {name: recording.spikes[name] for name in program.outputs}


def test_a_loop_of_two_populations_runs_as_integers() -> None:
    x, loop = spikes(60, 5, 4), ping_pong()
    expected = nir_equations.simulate(loop, {"input": x})
    program = quantize(loop, x)
    assert sorted(program.neurons) == ["b", "c", "loop(a, b)"]
    for name, found in outputs(program, x).items():
        np.testing.assert_array_equal(found, expected[name])
        assert 0.02 < found.mean() < 0.9
    assert program.ledger[0].change == "every connection within the loop of a, b is read as taking one step"


def test_a_loop_that_resets_in_two_ways_is_refused_and_may_be_given_one() -> None:
    loop = ping_pong()
    loop.nodes |= {"m": li(4, beta=0.5), "b": nir.Threshold(np.ones(4)), "back": nir.Scale(-np.ones(4))}
    loop.edges.remove(("ab", "b"))
    loop.edges += [("ab", "m"), ("m", "b"), ("b", "back"), ("back", "m")]
    with pytest.raises(UnsupportedError, match=r"the loop of .*a.*b.* would become one population .* \(subtract_delayed, zero\); give"):
        quantize(loop, spikes(20, 2, 4))
    program = quantize(loop, spikes(20, 2, 4), reset="subtract_delayed")
    assert {lif.reset for lif in program.neurons.values() if lif.shape == (8,)} == {"subtract_delayed"}


def test_a_memoryless_neuron_in_a_loop_gets_back_what_a_delayed_reset_takes() -> None:
    x, loop = spikes(60, 5, 4), ping_pong()
    loop.nodes |= {"m": li(4, beta=0.5), "a": nir.Threshold(np.ones(4)), "back": nir.Scale(-np.ones(4))}
    loop.nodes["b"] = nir.Threshold(np.full(4, 0.25))
    loop.edges.remove(("fc", "a"))
    loop.edges.remove(("wait", "a"))
    loop.edges += [("fc", "m"), ("wait", "m"), ("m", "a"), ("a", "back"), ("back", "m")]
    expected = nir_equations.simulate(loop, {"input": x})
    network = legalize(lower(loop))
    assert network.populations["loop(a, b)"].reset == "subtract_delayed"
    run = simulate(network, {"input": x})
    for output, name in network.outputs.items():
        np.testing.assert_array_equal(run.spikes[name], expected[output])
        assert 0.02 < expected[output].mean() < 0.98


@pytest.mark.parametrize("steps", [[0, 0, 0, 0], [3, 3, 3, 3], [0, 5, 62, 1]])
def test_delays_run_as_integers(steps: list[int]) -> None:
    """Each neuron's own, in a path that a straight one joins."""
    nodes = {
        "input": nir.Input({"input": np.array([4])}),
        "fc": nir.Linear(np.abs(GRID[0])),
        "late": nir.Delay(np.array(steps) * DT),
        "straight": nir.Linear(GRID[1] / 4),
        "a": lif(4, beta=0.75),
        "output": nir.Output({"output": np.array([4])}),
    }
    edges = [("input", "fc"), ("fc", "late"), ("late", "a"), ("input", "straight"), ("straight", "a"), ("a", "output")]
    x, delayed = spikes(90, 3, 4), graph(edges, **nodes)
    expected = nir_equations.simulate(delayed, {"input": x})["output"]
    program = quantize(delayed, x)
    np.testing.assert_array_equal(outputs(program, x)["output"], expected)
    assert {c.lag for c in program.connections} == {0, *steps} and {c.delay for c in program.connections} == {0}
    assert all(0 < expected[:, :, i].mean() < 0.95 for i in range(4))


@pytest.mark.parametrize("seconds, shown", [(1.5 * DT, "0.00015"), (-DT, "-0.0001")])
def test_a_delay_must_be_whole_steps(seconds: float, shown: str) -> None:
    with pytest.raises(InputError, match=f"node 'n0' delays by {shown} s, which must be a multiple of the time step dt = 0.0001 s, or 0"):
        lower(chain(nir.Delay(np.full(4, seconds)), lif(4)))


def test_delays_in_a_row_must_fit_a_synapse() -> None:
    wait = nir.Delay(np.full(4, 40 * DT))
    with pytest.raises(UnsupportedError, match="input -> n0 -> n1 delays by 80 steps together; a synapse delays by 62 at most"):
        lower(chain(wait, wait, lif(4)))


def test_a_delay_and_a_skip_must_fit_a_synapse_together() -> None:
    """Four layers in one path, a delay of 60 in the other: 63."""
    deep = chain(*(lif(4) for _ in range(4)))
    deep.nodes["wait"] = nir.Delay(np.full(4, 60 * DT))
    deep.edges += [("input", "wait"), ("wait", "n3")]
    with pytest.raises(UnsupportedError, match="input skips 3 layers to reach n3, after a delay of 60 steps; a synapse delays by 62"):
        quantize(deep, spikes(5, 2, 4))


def test_a_delayed_bias_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="node 'n1' delays a bias, which would begin only then; move the bias behind the delay"):
        lower(chain(nir.Affine(GRID[0], np.ones(4)), nir.Delay(np.full(4, DT)), lif(4)))


@pytest.mark.parametrize("shape", [(), (4,)])
def test_a_reset_to_another_voltage_is_a_shift(shape: tuple) -> None:
    """Spike for spike in the float network; what integers, which start where they reset to, change is measured."""
    reset_to = np.full(shape, -0.5) if not shape else np.array([-0.5, -0.25, 0.25, 0.0])
    neuron = lif(*shape, beta=0.75, v_reset=reset_to, v_leak=np.full(shape, 0.125))
    shifted, x = chain(nir.Linear(GRID[0] + 0.25), neuron), spikes(60, 5, 4)
    # NIR's simulation needs parameters of one shape
    full = chain(nir.Linear(GRID[0] + 0.25), lif(4, beta=0.75, v_reset=np.broadcast_to(reset_to, 4), v_leak=np.full(4, 0.125)))
    expected = nir_equations.simulate(full, {"input": x})["output"]
    np.testing.assert_array_equal(simulate(lower(shifted), {"input": x}).spikes["n1"], expected)
    chip = legalize(lower(shifted))
    np.testing.assert_array_equal(simulate(chip, {"input": x}).spikes["n1"], expected)
    assert chip.populations["n1"].reset_to is None and (chip.populations["n1"].theta == 1 - reset_to).all()
    entry = next(e for e in quantize(shifted, x).ledger if e.change == "its voltage starts at v_reset")
    wrong = int((quietly_started(full, x, reset_to) != expected).sum())
    assert entry.node == "n1"
    assert entry.effect.startswith(f"{wrong} spikes differ where the float network has {int(expected.sum())}, on 5 samples; alone ")
    assert wrong > 0


def quietly_started(full: nir.NIRGraph, x: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The neuron by its own recursion, from v = start."""
    weight, neuron = full.nodes["n0"].weight, full.nodes["n1"]
    v, fired = np.broadcast_to(start, (x.shape[1], 4)), []
    for step in x:
        v = v + DT / neuron.tau * (neuron.v_leak - v + neuron.r * (step @ weight.T))
        fired.append(v > neuron.v_threshold)
        v = np.where(fired[-1], neuron.v_reset, v)
    return np.array(fired)


@pytest.mark.parametrize("theta", [-0.72, 0.0, 0.3])
def test_a_threshold_on_analog_values_makes_spikes(theta: float) -> None:
    x = np.random.default_rng(0).normal(size=(40, 4, 4)).round(1) + 0.05  # no value is the threshold, before or after rounding
    sliced = chain(nir.Threshold(np.full(4, theta)), nir.Linear(GRID[0]), lif(4, beta=0.75))
    run = simulate(lower(sliced), {"input": x})
    np.testing.assert_array_equal(run.spikes["n0"], x > theta)
    program = quantize(sliced, x)
    np.testing.assert_array_equal(emulate(program, program.encode(x), "all").spikes["n0"], x > theta)


def test_a_linear_map_at_the_end_is_read_as_a_membrane() -> None:
    x, last = spikes(40, 3, 4), nir.Affine(GRID[1], np.full(4, 0.5))
    network = lower(chain(nir.Linear(GRID[0]), lif(4), last))
    run = simulate(network, {"input": x})
    assert network.outputs == {"output": "output"} and network.populations["output"].is_readout
    np.testing.assert_allclose(run.v["output"], run.spikes["n1"] @ last.weight.T + 0.5, rtol=1e-12)
    program = quantize(chain(nir.Linear(GRID[0]), lif(4), last), x)
    assert program.outputs["output"].decoder == "membrane_sum"


def test_two_populations_at_one_output_are_their_sum() -> None:
    twin = chain(nir.Linear(GRID[0]), lif(4))
    twin.nodes |= {"fc": nir.Linear(GRID[1]), "b": lif(4, beta=0.5)}
    twin.edges += [("input", "fc"), ("fc", "b"), ("b", "output")]
    network, x = lower(twin), spikes(40, 3, 4)
    run = simulate(network, {"input": x})
    np.testing.assert_array_equal(run.v["output"], run.spikes["n1"].astype(float) + run.spikes["b"])


def test_an_output_of_an_input_is_refused() -> None:
    straight = chain(nir.Linear(GRID[0]), lif(4))
    straight.nodes["echo"] = nir.Output({"output": np.array([4])})
    straight.edges.append(("input", "echo"))
    with pytest.raises(UnsupportedError, match="output 'echo' reads the input 'input' itself; put a neuron or a linear map in between"):
        lower(straight)


def test_a_current_before_a_lif_is_its_synapse() -> None:
    x = {"input": spikes(50, 3, 4)}
    behind = chain(nir.Linear(GRID[0] + 0.2), li(4, beta=0.5), lif(4, beta=0.75))
    network = lower(behind)
    assert list(network.populations) == ["n2"] and (network.populations["n2"].alpha == 0.5).all()
    np.testing.assert_array_equal(simulate(network, x).spikes["n2"], nir_equations.simulate(behind, x)["output"])


def test_cubali_is_read() -> None:
    x, o = {"input": spikes(50, 3, 4)}, np.ones(4)
    node = nir.CubaLI(tau_syn=4 * DT * o, tau_mem=8 * DT * o, r=2 * o, v_leak=0.25 * o, w_in=np.array(3.0))
    read = chain(nir.Linear(GRID[0]), node)
    np.testing.assert_allclose(simulate(lower(read), x).v["n1"], nir_equations.simulate(read, x)["output"], rtol=1e-12)


def test_the_chip_form_is_final() -> None:
    once = legalize(lower(ping_pong(v_reset=np.full(4, 0.25))))
    twice = legalize(once)
    assert list(twice.populations) == list(once.populations) and len(twice.projections) == len(once.projections)
    assert json.dumps({n: p.theta.tolist() for n, p in twice.populations.items()}) == json.dumps(
        {n: p.theta.tolist() for n, p in once.populations.items()}
    )
