"""The models: a network by hand, scaling, regimes, and what every output says."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from snnfuse.hardware import Connection, Conv2d, Dense, Lif, Output, Program, Sparse, SpikeInput
from snnfuse.hardware.chip import find_board
from snnfuse.hardware.energy import CATALOGUE, MODELLED, Range, cpu_uj, estimate_energy, free_running, host_fed, loihi1, macs
from snnfuse.hardware.energy.constants import values
from snnfuse.hardware.energy.models import FREE, HOST_EVERY, HOST_ONCE, LOIHI1, default_numbers
from snnfuse.hardware.energy.step_time import decided_by, inference_us
from snnfuse.hardware.ir.synapses import Synapse

STATUSES = {"fitted", "scaled", "inherited", "documented", "assumed"}


def network(size: int = 20) -> tuple[Program, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    nodes = {"x": SpikeInput((8,)), "h": Lif((size,), 4095, 400, 9), "o": Lif((3,), 4095, 400, 9)}
    groups = [Dense(2 * rng.integers(-50, 60, shape, np.int32)) for shape in ((size, 8), (3, size))]
    program = Program(nodes, (Connection("x", "h", groups[0]), Connection("h", "o", groups[1])), {"output": Output("o")})
    return program, {"x": rng.integers(0, 2, (12, 5, 8)).astype(np.int32)}


def one_neuron() -> tuple[Program, dict[str, np.ndarray]]:
    """One neuron, one synapse, four steps, three events."""
    link = Connection("x", "n", Dense(np.full((1, 1), 64, np.int32)))
    program = Program({"x": SpikeInput((1,)), "n": Lif((1,), 4095, 0, 0)}, (link,), {"y": Output("n")})
    return program, {"x": np.array([1, 1, 0, 1], np.int32)[:, None, None]}


def test_a_free_running_network_by_hand() -> None:
    found = estimate_energy(*one_neuron())
    time, power = values("time"), values("power")
    (model,) = (each for each in found.models if each.model == FREE)
    us = 4 * time["barrier_us"]  # one update, one operation and one word take less
    picojoules = 4 * power["update_pj"] + 3 * (power["operation_pj"] + power["message_pj"])
    dynamic = (power["running_w"] + power["core_w"]) * us + picojoules / 1e6
    assert model.median["time_us"] == pytest.approx(us, rel=1e-12) and model.median["latency_us"] == pytest.approx(us * 5 / 4, rel=1e-12)
    assert model.median["dynamic_uj"] == pytest.approx(dynamic, rel=1e-12)
    assert model.median["static_uj"] == pytest.approx(power["static_w"] * us, rel=1e-12)
    assert model.decided_by == {"the barrier": 1.0}
    slack = values("validation")
    assert model.time_us == pytest.approx((us / slack["time_factor"], us * slack["time_factor"]))
    assert model.total_uj.low == pytest.approx(model.median["total_uj"] / slack["energy_factor"])
    assert slack["time_factor"] ** 2 <= 5 and slack["energy_factor"] ** 2 <= 10
    assert macs(found.activity) == 4 and cpu_uj(found.activity) == pytest.approx((4 * 4.6e-6, 4 * 94.6e-6), rel=1e-12)


def test_the_largest_part_decides_each_step() -> None:
    """Rates chosen so that operations, reads, neurons and the barrier decide in turn."""
    activity, rates = estimate_energy(*one_neuron()).activity, values("time")
    assert activity.busiest.operations.tolist() == [[1, 1, 0, 1]] and activity.busiest.reads.tolist() == [[1, 1, 0, 1]]
    slow = rates | {"operation_ns": 7e3, "barrier_us": 2.0}
    assert inference_us(activity, slow) == pytest.approx(3 * 7 + 2)
    assert decided_by(activity, slow) == {"synaptic operations": 0.75, "the barrier": 0.25}
    assert decided_by(activity, rates | {"read_ns": 9e3}) == {"synapse memory": 0.75, "the barrier": 0.25}
    assert decided_by(activity, rates | {"update_ns": 9e3}) == {"neuron updates": 1.0}
    three_words = replace(activity, busiest=replace(activity.busiest, microcode=3))
    assert inference_us(three_words, rates | {"microcode_ns": 1e3}) == pytest.approx(12)


def test_regimes_are_apart() -> None:
    """A host adds what it moves and how often; the chip takes static power meanwhile."""
    program, events = network()
    activity = estimate_energy(program, events).activity
    free, once, every = free_running(activity), host_fed(activity, False), host_fed(activity, True)
    host, power = values("host"), values("power")
    assert activity.values == 12 * 8
    waits = [host["exchange_us"] * n + host["value_us"] * 96 for n in (1, 12)]
    assert [each.median["time_us"] - free.median["time_us"] for each in (once, every)] == pytest.approx(waits)
    for each, wait in zip((once, every), waits):
        assert each.median["dynamic_uj"] == pytest.approx(free.median["dynamic_uj"])
        assert each.median["static_uj"] - free.median["static_uj"] == pytest.approx(power["static_w"] * wait)
        assert not each.layers and not each.inputs
    held = estimate_energy(program, {"x": np.ones_like(events["x"])}).activity
    assert held.values == 8  # the same on every step: written once


def test_a_chip_of_several_takes_its_share() -> None:
    program, events = network()
    one, several = (free_running(estimate_energy(program, events, board).activity) for board in ("oheo-gulch", "kapoho-point"))
    power = values("power")
    assert one.median["time_us"] == several.median["time_us"]
    assert one.median["static_uj"] / several.median["static_uj"] == pytest.approx(power["static_w"] / power["shared_static_w"])


def test_loihi_1_by_hand() -> None:
    found = loihi1(estimate_energy(*one_neuron()).activity)
    shared = 4 * 51.2 + 3 * 21.6 + 3 * 69.3 + 3 * 111.0
    assert found.dynamic_uj == pytest.approx(((shared + 3 * 24.0) / 1e6, (shared + 3 * 35.5 + 3 * 10 * 3.6) / 1e6), rel=1e-12)
    assert found.time_us == pytest.approx((4 * 1.8, 4 * (1.8 + 9.7e-3) + 3 * 3.8e-3), rel=1e-12)
    assert found.static_uj is None and found.model == LOIHI1 and "total_uj" not in found.median


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
    for a, b in zip(more.models[:1] + more.models[3:], less.models[:1] + less.models[3:]):
        assert a.dynamic_uj.low > b.dynamic_uj.low and a.time_us.high >= b.time_us.high
    assert less.models[0].dynamic_uj.low > 0  # updates, and the chip itself


def test_every_output_says_that_it_is_modelled_and_cites_every_constant() -> None:
    program, events = network()
    content = json.loads(json.dumps(estimate_energy(program, events).to_json()))
    assert content["note"] == MODELLED == "modelled, not measured; no board was available"
    assert [model["model"] for model in content["models"]] == [FREE, HOST_ONCE, HOST_EVERY, LOIHI1]
    for model in content["models"]:
        assert MODELLED in model["about"] and all(len(model[name]) == 2 for name in ("dynamic_uj", "total_uj", "time_us", "latency_us"))
        assert all(low <= high for part in ("layers", "inputs") for low, high in model[part].values())
        assert all(model[name][0] <= value <= model[name][1] for name, value in model["median"].items())
    assert {group: set(constants) for group, constants in content["constants"].items()} == {g: set(c) for g, c in CATALOGUE.items()}
    for group in content["constants"].values():
        for constant in group.values():
            assert constant["source"] and constant["what"] and constant["status"] in STATUSES and constant["value"] >= 0


def test_a_sentence_for_each_regime() -> None:
    program, events = network()
    found = estimate_energy(program, events)
    content, slack = found.to_json(), values("validation")
    assert list(content["quote"]) == [FREE, HOST_ONCE, HOST_EVERY]
    for model, said in content["quote"].items():
        assert f", {model}, an inference of 12 steps is modelled to take " in said and "(mean of 5 samples; over " in said
        assert f"over {slack['time_rows']:.0f} published runs, each left out of the fit" in said and said.endswith(f"{MODELLED}).")
    us = found.models[0].median["time_us"]
    assert f" {us:.2g} us ({us / slack['time_factor']:.2g} to {us * slack['time_factor']:.2g} us)" in content["quote"][FREE]
    assert content["bibtex"].startswith("@software{snnfuse,") and content["quote"][FREE] in content["bibtex"]


def test_ranges_add_and_scale() -> None:
    assert Range(1, 2) + Range(3, 5) == (4, 7) and Range(1, 2) * 3 == (3, 6)
    assert Range(1, 2).contains(2) and not Range(1, 2).contains(2.1)


def test_other_numbers_in_place_of_the_catalogue_s() -> None:
    activity = estimate_energy(*network()).activity
    numbers = default_numbers()
    numbers["time"]["barrier_us"] *= 2
    assert free_running(activity, numbers).median["time_us"] == 2 * free_running(activity).median["time_us"]
    assert find_board("oheo-gulch").chips == activity.board_chips == 1
