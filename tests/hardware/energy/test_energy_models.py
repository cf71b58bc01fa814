"""The models: PilotNet's published run, scaling, and the bounds that they claim."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from snnfuse.hardware import Connection, Conv2d, Dense, Lif, Output, Program, Sparse, SpikeInput
from snnfuse.hardware.chip import count, find_board
from snnfuse.hardware.energy import MODELLED, Activity, Range, calibrated, cpu_uj, estimate_energy, loihi1, macs, measure
from snnfuse.hardware.energy.constants import CPU, LOIHI1, PILOTNET, published_energy_mj
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.ir.synapses import Synapse


def network(size: int = 20) -> tuple[Program, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    nodes = {"x": SpikeInput((8,)), "h": Lif((size,), 4095, 400, 9), "o": Lif((3,), 4095, 400, 9)}
    groups = [Dense(2 * rng.integers(-50, 60, shape, np.int32)) for shape in ((size, 8), (3, size))]
    program = Program(nodes, (Connection("x", "h", groups[0]), Connection("h", "o", groups[1])), {"output": Output("o")})
    return program, {"x": rng.integers(0, 2, (12, 5, 8)).astype(np.int32)}


def every_neuron_fires(program: Program, steps: int) -> Recording:
    fired = {name: np.ones((steps, 1, *node.shape), bool) for name, node in program.neurons.items()}
    return Recording(fired, events={name: np.ones((steps, 1, *node.shape), np.int32) for name, node in program.inputs.items()})


@pytest.fixture(scope="module")
def pilotnet() -> Activity:
    """One step of PilotNet in which every neuron fires."""
    from benchmarks.pilotnet import pilotnet

    program = pilotnet()
    return measure(program, [every_neuron_fires(program, 1)], count(program, find_board("oheo-gulch")))


def of_rate(activity: Activity, rate: float, steps: int) -> Activity:
    """The same network over so many steps, in which every neuron fires at a rate."""
    scale = steps * rate
    links = tuple(
        replace(a, events=a.events * scale, operations=a.operations * scale, effective=a.effective * scale, messages=a.messages * scale)
        for a in activity.links
    )
    layers = tuple(replace(a, updates=a.updates * steps, spikes=a.spikes * scale) for a in activity.populations)
    return replace(activity, steps=steps, links=links, populations=layers, core_operations=activity.core_operations * scale)


def test_constants_of_pilotnet_are_those_of_its_layers(pilotnet: Activity) -> None:
    values = {name: constant.low for name, constant in PILOTNET.items()}
    assert (pilotnet.cores, pilotnet.chips) == (values["cores"], values["chips"])
    assert (pilotnet.neurons, pilotnet.operations) == (values["neurons"], values["synapses"])
    assert (pilotnet.core_neurons.max(), pilotnet.core_operations.max()) == (values["core_neurons"], values["core_synapses"])
    assert published_energy_mj() == pytest.approx({"total": 1.661, "dynamic": 1.094}, abs=1e-3)


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.18])
def test_the_calibration_gives_back_the_published_run(pilotnet: Activity, rate: float) -> None:
    """At whatever rate of spikes the calibration assumes it had."""
    found, measured = calibrated(of_rate(pilotnet, rate, 16)), published_energy_mj()
    slack = 1e-9  # of rounding: a bound may be the published value itself
    for bounds, value in ((found.dynamic_uj, measured["dynamic"]), (found.total_uj, measured["total"])):
        assert bounds.low <= 1e3 * value * (1 + slack) and bounds.high >= 1e3 * value * (1 - slack)
    step = 1e6 / 408.91
    assert found.time_us.low <= step * (1 + slack) and found.time_us.high >= step * (1 - slack)


def test_every_linear_model_of_the_published_run_lies_within_the_bounds(pilotnet: Activity) -> None:
    """Random weights of core-steps, updates and operations, scaled so that PilotNet at some rate has its published energy."""
    program, events = network(300)
    activity = estimate_energy(program, events).activity
    bounds, rng = calibrated(activity).dynamic_uj, np.random.default_rng(1)
    low, high = PILOTNET["activity"].range
    for _ in range(200):
        weights = rng.dirichlet(np.ones(3) * 0.3)
        published = np.array([74 * 16, pilotnet.neurons * 16, rng.uniform(low, high) * pilotnet.operations * 16])
        here = np.array([activity.cores * activity.steps, activity.updates, activity.operations])
        energy = 1e3 * published_energy_mj()["dynamic"] * (weights * here / published).sum()
        assert bounds.low <= energy * (1 + 1e-9) and energy <= bounds.high * (1 + 1e-9)


def test_loihi_1_by_hand() -> None:
    """One neuron, one synapse, four steps, three events."""
    link = Connection("x", "n", Dense(np.full((1, 1), 64, np.int32)))
    program = Program({"x": SpikeInput((1,)), "n": Lif((1,), 4095, 0, 0)}, (link,), {"y": Output("n")})
    found = estimate_energy(program, {"x": np.array([1, 1, 0, 1], np.int32)[:, None, None]})
    assert found.activity.populations[0].spikes == 3
    low = 3 * 23.6 + 3 * 1.7 + 3 * 81.0 + 52.0
    high = 3 * 23.6 + 3 * (1.7 + 33.0) + 4 * 81.0
    assert found.models[0].dynamic_uj == pytest.approx((low / 1e6, high / 1e6), rel=1e-12)
    assert found.models[0].time_us == pytest.approx(((3 * 3.5 + 4 * 5.3 + 4 * 113) / 1e3, (3 * 3.5 + 4 * 8.4 + 4 * 465) / 1e3), rel=1e-12)
    assert found.models[0].static_uj is None
    assert found.models[0].latency_us == pytest.approx(tuple(x * 5 / 4 for x in found.models[0].time_us), rel=1e-12)
    assert macs(found.activity) == 4 and cpu_uj(found.activity) == pytest.approx((4 * 4.6e-6, 4 * 94.6e-6), rel=1e-12)


@pytest.mark.parametrize(
    "first, second, pairs",
    [
        (Dense(np.array([[64, 0]], np.int32)), Dense(np.array([[0, -64]], np.int32)), 2),  # by sign, or what rounding left over
        (Sparse(sparse.csr_matrix([[64, 2]], dtype=np.int32)), Sparse(sparse.csr_matrix([[0, 2]], dtype=np.int32)), 2),
        (Sparse(sparse.csr_matrix([[64, 0]], dtype=np.int32)), Sparse(sparse.csr_matrix([[0, 2]], dtype=np.int32)), 2),
        (Conv2d(np.full((1, 1, 1, 1), 64, np.int32), (1, 1, 2), (1, 2)), Conv2d(np.full((1, 1, 1, 1), 2, np.int32), (1, 1, 2), (1, 2)), 1),
        (Conv2d(np.full((1, 1, 1, 1), 64, np.int32), (1, 1, 2), (1, 2)), Conv2d(np.full((1, 1, 1, 2), 2, np.int32), (1, 1, 2)), 3),
    ],
)
def test_a_weight_in_two_groups_is_one_in_floating_point(first: Synapse, second: Synapse, pairs: int) -> None:
    shape = getattr(first, "input_shape", (2,))
    nodes = {"x": SpikeInput(shape), "n": Lif((1,), 4095, 0, 0)}
    links = Connection("x", "n", first), Connection("x", "n", second)
    found = estimate_energy(Program(nodes, links, {"y": Output("n")}), {"x": np.ones((3, 1, *shape), np.int32)})
    assert macs(found.activity) == 3 * pairs


def test_the_same_synapses_later_are_weights_of_their_own() -> None:
    dense = Dense(np.full((1, 1), 64, np.int32))
    links = Connection("x", "n", dense), Connection("x", "n", dense, lag=1)
    program = Program({"x": SpikeInput((1,)), "n": Lif((1,), 4095, 0, 0)}, links, {"y": Output("n")})
    assert macs(estimate_energy(program, {"x": np.ones((3, 1, 1), np.int32)}).activity) == 3 * 2


def test_more_spikes_cost_no_less() -> None:
    program, events = network()
    more, less = (estimate_energy(program, {"x": x}) for x in (np.ones_like(events["x"]), np.zeros_like(events["x"])))
    for a, b in zip(more.models, less.models):
        assert a.dynamic_uj.low > b.dynamic_uj.low and a.time_us.high >= b.time_us.high
        assert a.total_uj.low <= a.total_uj.high and b.total_uj.low <= b.total_uj.high
    assert loihi1(less.activity).dynamic_uj.low > 0  # updates


def test_every_output_says_that_it_is_modelled_and_cites_every_constant() -> None:
    program, events = network()
    content = json.loads(json.dumps(estimate_energy(program, events).to_json()))
    assert content["note"] == MODELLED == "modelled, not measured; no board was available"
    for model in content["models"]:
        assert MODELLED in model["about"] and all(len(model[name]) == 2 for name in ("dynamic_uj", "total_uj", "time_us", "latency_us"))
        assert all(low <= high for part in ("layers", "inputs") for low, high in model[part].values())
    groups = content["constants"]
    assert [len(groups[name]) for name in ("loihi1", "pilotnet", "cpu")] == [len(LOIHI1), len(PILOTNET), len(CPU)]
    for group in groups.values():
        for constant in group.values():
            assert constant["source"] and constant["low"] <= constant["high"]
            assert constant["status"] in ("measured", "pre-silicon", "published", "derived", "assumed")


def test_ranges_add_and_scale() -> None:
    assert Range(1, 2) + Range(3, 5) == (4, 7) and Range(1, 2) * 3 == (3, 6)
    assert Range(1, 2).contains(2) and not Range(1, 2).contains(2.1)


def test_the_benchmark_holds_what_was_published() -> None:
    from benchmarks.energy import compare_energy

    found = compare_energy()
    rows = [row for part in found.values() if isinstance(part, dict) for row in part.values()]
    assert len(rows) == 5 and all(row["contains"] and row["low"] < row["published"] < row["high"] for row in rows)
