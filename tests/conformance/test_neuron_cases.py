"""Every row of the table of neurons, held to what it says: exact means no spike differs, approximate that the ledger states how many
do, refused that the error says what the row says. Every row is what tracing its case says, word for word.
"""

import inspect
from collections.abc import Iterator
from dataclasses import replace

import nir
import nir_equations
import numpy as np
import pytest
import snntorch as snn
import torch
from neuron_cases import BASE, IMAGE, WITH_CURRENT, Case, Use, cases, traced_row, unlisted
from snntorch_models import grid, heaviside
from torch import nn

from snnfuse.export.lowering import float_simulator as float_run
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.export.lowering.notes import without_notes
from snnfuse.export.lowering.reset_notes import MARGIN
from snnfuse.export.ops_table import Row
from snnfuse.export.tracing import to_nir, trace_model
from snnfuse.export.tracing.measured import measured_ledger
from snnfuse.export.tracing.neurons.rows import ops_rows
from snnfuse.export.tracing.nodes.refusal import Refusal

pytestmark = pytest.mark.filterwarnings("ignore:Inhibition", "ignore:StateLeaky")
LARGE = {1: (128,), 3: (2, 8, 8)}  # 4 samples of 128 neurons: 512 slots
CASES = cases()
NAMES = [f"{case.neuron.__name__}-{case.case}" for case in CASES]
ROWS = {(row.name, row.case): row for row in ops_rows()}


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """snnTorch's list of all neurons, on which `utils.reset` works, is left as it was."""
    with unlisted():
        yield


def large(case: Case) -> tuple[Use, torch.Tensor, np.ndarray]:
    """A case with 128 neurons, what it is run on, and what it returns.

    Inputs on which some membrane passes its threshold by less than the margin that keeps ties from firing, a part in a million, are
    passed over: there snnTorch fires and the graph does not.
    """
    for seed in range(2, 12):
        model, x = built(case, seed)
        expected, near = run(case, model, x)
        if not near:
            return built(case, seed)[0], x, expected
    raise AssertionError("every input comes too close to the threshold")


def built(case: Case, seed: int) -> tuple[Use, torch.Tensor]:
    """In double precision, with weights, biases and inputs on a grid of 1/16, so that membranes meet thresholds exactly."""
    torch.manual_seed(1)
    shape = LARGE[len(case.shape)]
    model = case.model(shape, spike_grad=heaviside).double().eval()
    for layer in (m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)):
        layer.weight.data = (layer.weight.data * 32).round() / 16
        layer.bias.data = (layer.bias.data * 16).round() / 16
    gain = float(model.neuron.time_step / model.neuron.C) if isinstance(model.neuron, snn.Lapicque) else 1
    return model, grid(*shape, seed=seed) / (2 if case.neuron in WITH_CURRENT else gain)


def run(case: Case, model: Use, x: torch.Tensor) -> tuple[np.ndarray, bool]:
    """What forward returns first, over time, from rest, and whether a membrane came too close to its threshold."""
    near = []
    for neuron in (model.neuron, model.after):
        watch(neuron, near)
    with torch.no_grad():
        steps = model(x) if case.looped else [model(now) for now in x]
    return torch.stack([s[0] if isinstance(s, tuple) else s for s in steps]).numpy(), any(near)


def watch(neuron: nn.Module, near: list[bool]) -> None:
    fire = neuron.fire

    def fires(mem: torch.Tensor) -> torch.Tensor:
        near.append(bool(((mem > neuron.threshold) & (mem <= neuron.threshold * (1 + MARGIN))).any()))
        return fire(mem)

    neuron.fire = fires


def sample(case: Case, x: torch.Tensor) -> torch.Tensor:
    return x[:3] if case.looped else x[0]


def differing(case: Case, model: Use, x: torch.Tensor, expected: np.ndarray) -> int:
    """How many spikes the network that the graph is lowered to puts out otherwise; without notes it agrees with NIR's own equations."""
    graph = to_nir(model, sample(case, x))
    assert (lowered(without_notes(graph), x) != nir_equations.simulate(graph, {"x": x.numpy()})["output"].astype(bool)).sum() == 0
    return int((lowered(graph, x) != expected.astype(bool)).sum())


def lowered(graph: nir.NIRGraph, x: torch.Tensor) -> np.ndarray:
    network = lower(graph)
    return float_run.simulate(network, {"x": x.numpy()}).spikes[network.outputs["output"]]


def row(case: Case) -> Row:
    return ROWS[case.neuron.__name__, case.case]


def test_the_table_has_a_row_per_case_in_their_order() -> None:
    assert [*ROWS] == [(case.neuron.__name__, case.case) for case in CASES] and len(ops_rows()) == len(ROWS)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_row_is_what_tracing_says(case: Case) -> None:
    assert row(case) == traced_row(case)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_row_says_what_is_done(case: Case) -> None:
    said = row(case)
    check = {"exact": check_exact, "approximate": check_approximate, "refused": check_refused}
    check[said.decision](case, said)


def check_exact(case: Case, said: Row) -> None:
    model, x, expected = large(case)
    if case.case.endswith("its membrane used"):
        graph = to_nir(model, x[0])
        read = float_run.simulate(lower(graph), {"x": x.numpy()}).v["neuron"]
        assert not np.isin(expected, (0, 1)).all()
        if case.neuron is not snn.Alpha:  # of which NIR has the nearest only
            np.testing.assert_allclose(nir_equations.simulate(graph, {"x": x.numpy()})["output"], expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(read, expected, rtol=1e-9, atol=1e-9)
        return
    assert 0.001 < (expected != 0).mean() < 1
    assert differing(case, model, x, expected) == 0


def check_approximate(case: Case, said: Row) -> None:
    model, x, expected = large(case)
    assert 0.001 < (expected != 0).mean() < 1
    wrong = differing(case, model, x, expected)
    graph, ledger = trace_model(model, sample(case, x))
    _, measured = measured_ledger(model, graph, ledger, {"x": x.numpy()})
    assert ledger and all(entry.change in said.how and entry.reason in said.how for entry in ledger)
    for entry in measured:
        assert entry.node == "neuron"
        assert f"{wrong} of its {expected.size} outputs differ ({wrong / expected.size:.2%})" in entry.effect, entry.effect
        assert f"{wrong} output spikes differ" in entry.effect


def check_refused(case: Case, said: Row) -> None:
    with pytest.raises(Refusal) as error:
        trace_model(case.model(), case.sample())
    message = str(error.value)
    assert said.how in message and message.endswith(f"; {said.way_out}") and "\n" not in message
    assert message.startswith(("neuron (", "neuron.", "fc (", "add", "forward: "))
    assert error.value.exit_code == 3


RESETS = [case for case in CASES if case.case.startswith("reset_mechanism") and not case.case.endswith("its membrane used")]
SHAPES = {"scalar": "", "per neuron": "one per neuron", "per channel": "one per channel"}


def parameters(kind: type, text: str) -> Case | None:
    found = [case for case in CASES if case.neuron is kind and case.case.endswith(f"threshold {text}") and "factor" not in case.case]
    return found[0] if text else None


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", RESETS, ids=[f"{c.neuron.__name__}-{c.case}" for c in RESETS])
def test_every_reset_with_every_shape_of_parameters(case: Case, shape: str) -> None:
    """Where a row of the reset says exact no spike differs, whatever the shape of the parameters."""
    decision = row(case).decision
    special = parameters(case.neuron, SHAPES[shape])
    if special is not None:
        plain, changed = case.options, special.options
        case = replace(case, shape=special.shape, options=lambda s: changed(s) | plain_of(plain, case, s))
    if decision == "refused":
        with pytest.raises(Refusal):
            to_nir(case.model(), case.sample())
        return
    model, x, expected = large(case)
    wrong = differing(case, model, x, expected)
    assert (expected != 0).mean() > 0.001
    if decision == "exact":
        assert wrong == 0
        return
    graph, ledger = trace_model(model, sample(case, x))
    _, measured = measured_ledger(model, graph, ledger, {"x": x.numpy()})
    assert [f"{wrong} of its {expected.size} outputs differ" in entry.effect for entry in measured] == [True] * len(ledger)


def plain_of(options, case: Case, shape: tuple[int, ...]) -> dict:
    """The options of a reset alone."""
    return {key: value for key, value in options(shape).items() if key.startswith("reset")}


def test_every_neuron_that_snntorch_has_is_in_the_table() -> None:
    defined = {
        value
        for value in vars(snn).values()
        if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__.startswith("snntorch._neurons")
    }
    assert {case.neuron for case in CASES} == defined
    assert len({(case.neuron, case.case) for case in CASES}) == len(CASES)


def test_the_cases_cover_what_a_neurons_constructor_takes() -> None:
    """Every argument that changes what is computed is given by some case."""
    training_only = {"surrogate_disable", "learn_graded_spikes_factor", "learn_recurrent", "learn_alpha"}
    for kind in BASE:
        taken = set(inspect.signature(kind.__init__).parameters) - {"self"} - training_only
        given = {key for case in CASES if case.neuron is kind for key in case.options(case.shape)}
        assert taken <= given | {"V", "time_step"}, (kind, taken - given)
    assert IMAGE in {case.shape for case in CASES}
