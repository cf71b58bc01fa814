"""The choice of number formats: made from the weights, exact where it says so, and needed where it is not made."""

from bisect import bisect_left
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from scipy import sparse
from torch_programs import DEVICES, assert_same, one_layer, weights

from snnfuse.hardware import Connection, Conv2d, Dense, GradedInput, Lif, Output, Product, Program, Relay, Sparse, SpikeInput
from snnfuse.hardware.backends.torch_backend import devices
from snnfuse.hardware.backends.torch_backend.arithmetic import State, lif_tensors, step
from snnfuse.hardware.backends.torch_backend.precision import Precision, choose, needs_wrap24, needs_wrap32, program_bounds
from snnfuse.hardware.backends.torch_backend.synapses import make_product, parts_of
from snnfuse.hardware.ir.fixed_point import NEVER, STATE_LIMIT
from snnfuse.hardware.ir.lif import LifState, Reset

SILENT = Lif((1,), 4095, 0, NEVER)


def test_limits_of_the_formats() -> None:
    assert choose(2**24 - 1, 1) == Precision("float32")
    assert choose(2**24, 1) == Precision("float64")
    assert choose(1, 1, float32=False) == Precision("float64")
    assert choose(2**23, 2**30 - 1) == Precision("float64")
    parts = choose(2**23, 2**30)
    assert parts == Precision("float64", 29, 2)
    assert 2**23 * 2**parts.part_bits < 2**53 and 2 * parts.part_bits >= 31


@pytest.mark.parametrize("device", DEVICES)
def test_sums_beyond_float32(device: str) -> None:
    """One odd number above 2**24, which float32 has no place for."""
    matrix = np.array([[255, 9]], np.int32)
    events = {"in": np.array([65793, 2]).reshape(1, 1, 2)}  # 2**24 - 1, and 18 more
    program = one_layer(SILENT, matrix, 18)
    (connection,) = program.connections
    bounds = program_bounds(program)
    assert bounds.total(connection) >= 2**24
    assert choose(bounds.row_sums[connection], bounds.payloads["in"]).dtype == "float64"
    naive = make_product(connection.synapse, torch.float32, torch.device(device))(torch.tensor(events["in"][0], device=device))
    exact = int(matrix[0].astype(int) @ events["in"][0, 0])
    assert exact % 2 and exact > 2**24 and int(naive) != exact
    assert_same(program, events, device=device)


def test_below_the_limit_float32_is_taken() -> None:
    program = one_layer(SILENT, np.array([[255, 0]], np.int32), 16)
    bounds = program_bounds(program)
    assert choose(bounds.row_sums[program.connections[0]], bounds.payloads["in"]) == Precision("float32")


def wide_program(sources: int) -> tuple[Program, dict[str, np.ndarray]]:
    """Numbers of 32 bits, from relays, into one sum that passes 2**53."""
    rng = np.random.default_rng(0)
    matrix = np.full((1, sources), 255, np.int32)
    matrix[0, ::7] = 253
    identity = Sparse(sparse.diags([np.full(sources, 255)], [0], format="csr", dtype=np.int32))
    nodes = {"in": GradedInput((sources,), 24, 1.0), "relay": Relay((sources,)), "n": SILENT}
    connections = (Connection("in", "relay", identity), Connection("relay", "n", Dense(matrix)))
    events = {"in": rng.integers(2**23 - 999, 2**23, (2, 1, sources))}
    return Program(nodes, connections, {"y": Output("n", "membrane_last")}), events


@pytest.mark.parametrize("device", DEVICES)
def test_sums_beyond_float64(device: str) -> None:
    program, events = wide_program(20_001)
    wide = program.connections[1]
    bounds = program_bounds(program)
    assert bounds.total(wide) >= 2**53
    choice = choose(bounds.row_sums[wide], bounds.payloads["relay"])
    assert choice.parts == 2
    payloads = 255 * events["in"][:, 0].astype(object)
    exact = [int(row @ wide.synapse.weights[0].astype(object)) for row in payloads]
    naive = make_product(wide.synapse, torch.float64, torch.device(device))(torch.tensor(payloads.astype(np.int64), device=device))
    assert min(exact) > 2**53 and any(int(a) != b for a, b in zip(naive[:, 0].tolist(), exact))
    assert_same(program, events, device=device)


def test_parts_keep_signs() -> None:
    """Three parts of 32-bit numbers of both signs, the lowest of all among them."""
    payloads = torch.tensor([-(2**31), -1, 0, 1, 2**31 - 1, 123456789, -987654321], dtype=torch.int32)
    for bits, parts in ((11, 3), (16, 2), (31, 2), (1, 32)):
        cut = list(parts_of(payloads, Precision("float64", bits, parts)))
        assert len(cut) == parts
        assert sum(part.to(torch.int64) << low for low, part in cut).tolist() == payloads.tolist()
        assert all(int(part.to(torch.int64).abs().max()) <= 2**bits for _, part in cut)


def test_row_sums_of_every_synapse() -> None:
    rng = np.random.default_rng(3)
    dense = weights(rng, 5, 30)
    conv = Conv2d(weights(rng, 4, 2, 3, 3), (4, 7, 7), groups=2)
    expected = np.abs(dense).sum(1).max()
    assert Dense(dense).row_sum() == Sparse(sparse.csr_matrix(dense)).row_sum() == expected
    assert conv.row_sum() == abs(conv.matrix()).sum(1).max()
    assert Sparse(sparse.csr_matrix((3, 4), dtype=np.int32)).row_sum() == 0


def test_payloads_of_graded_neurons_follow_from_what_arrives() -> None:
    eye = np.eye(1, dtype=np.int32)
    relays = {name: Relay((1,)) for name in ("r", "s", "loop")}
    nodes = {"in": SpikeInput((1,)), **relays, "p": Product((1,), 4), "n": Lif((1,), 0, 0, 1)}
    connections = (
        Connection("in", "r", Dense(-255 * eye, exponent=1)),
        Connection("in", "s", Dense(3 * eye, exponent=-1)),
        Connection("r", "p", Dense(eye)),
        Connection("s", "p", Dense(9 * eye), port=1),
        Connection("p", "loop", Dense(eye)),
        Connection("loop", "loop", Dense(eye)),
        Connection("loop", "n", Dense(eye)),
    )
    program = Program(nodes, connections, {"y": Output("n")})
    payloads = program_bounds(program).payloads
    assert payloads == {"in": 1, "r": 510, "s": 2, "p": 574, "loop": 2**31, "n": 1}  # 510 * (9 * 2) / 16, rounded up


@pytest.mark.parametrize("du", [0, 1, 100, 4094, 4095])
@pytest.mark.parametrize("needs, limit", [(needs_wrap24, STATE_LIMIT), (needs_wrap32, 2**31)])
def test_wraps_are_left_out_only_where_none_can_happen(needs: Callable[[Lif, int], bool], limit: int, du: int) -> None:
    """The largest input that is said to need no wrap, held for as long as the current climbs, and inputs that change sides."""
    lif = Lif((1,), du, 0, NEVER)
    drive = bisect_left(range(2**26), True, key=lambda drive: needs(lif, drive)) - 1
    assert drive > 0 and not needs(lif, drive)
    signs = np.random.default_rng(du).choice([-1, 1], 20_000 if du < 100 else 500)
    assert largest_current(du, drive, np.ones_like(signs)) < limit
    assert largest_current(du, drive, signs) < limit
    if needs is needs_wrap24:  # and it is no idle bound: one percent more, and the current does wrap
        assert largest_current(du, drive * 101 // 100 + 65, np.ones_like(signs)) >= limit


def test_a_current_that_never_decays_needs_its_wraps() -> None:
    lif = Lif((1,), -1, 0, NEVER)
    assert needs_wrap24(lif, 1) and not needs_wrap24(lif, 0)
    assert not needs_wrap32(lif, 2**18) and needs_wrap32(lif, 2**18 + 1)  # beyond 2**24 per step one wrap does not bring u back


def largest_current(du: int, drive: int, signs: np.ndarray) -> int:
    """The largest |decay(u) + 64 a| that a neuron meets with a = drive * sign, which is wrapped at 24 bits only."""
    u = largest = 0
    for sign in signs.tolist():
        scaled = u * (4095 - du)
        raw = (abs(scaled) >> 12) * (1 if scaled > 0 else -1) + 64 * drive * sign
        largest = max(largest, abs(raw))
        u = raw - 2**24 if raw > 2**23 else raw + 2**24 if raw <= -(2**23) else raw
    return largest


@pytest.mark.parametrize("reset", get_args(Reset))
def test_step_is_the_references(reset: str) -> None:
    """A hundred thousand random neurons with states anywhere that they can be, inputs of 32 bits, one step each."""
    rng = np.random.default_rng(4)
    n = 100_000
    lif = Lif(
        (n,),
        rng.choice([-1, 0, 5, 4095, 1000], n).astype(np.int32),
        rng.choice([0, 1, 4095, 77], n).astype(np.int32),
        rng.choice([0, 1, 1000, NEVER - 1, NEVER], n).astype(np.int32),
        rng.integers(-4096, 4096, n).astype(np.int32),
        rng.integers(0, 8, n).astype(np.int32),
        reset,
    )
    u = np.where(rng.random(n) < 0.5, rng.integers(-(2**31), 2**31, n), rng.integers(-3, 3, n)).astype(np.int32)[None]
    v = rng.choice([STATE_LIMIT - 1, 1 - STATE_LIMIT, 0, 64, 65, -1], (1, n)).astype(np.int32)
    a = np.where(rng.random(n) < 0.5, rng.integers(-(2**31), 2**31, n), rng.integers(-(2**18), 2**18, n)).astype(np.int32)[None]
    spikes, state = lif.step(LifState(u, v), [a])
    found, after = step(lif_tensors(lif), State(*(torch.tensor(x, dtype=torch.float64) for x in (u, v))), torch.tensor(a).double())
    np.testing.assert_array_equal(found.numpy(), spikes)
    np.testing.assert_array_equal(after.u.numpy(), state.u)
    np.testing.assert_array_equal(after.v.numpy(), state.v)


def test_training_can_put_gradients_into_the_step() -> None:
    """The roundings are arguments: same values, and a gradient where the caller wants one."""

    class Straight(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return torch.trunc(x)

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    lif = lif_tensors(Lif((1,), 10, 20, 10**5))
    a = torch.full((1, 1), 3.0, dtype=torch.float64, requires_grad=True)
    state = State(torch.full((1, 1), 5.0, dtype=torch.float64), torch.full((1, 1), 7.0, dtype=torch.float64))
    for _ in range(2):
        _, state = step(lif, state, a, trunc=Straight.apply)
    (gradient,) = torch.autograd.grad(state.v.sum(), a)
    keep_u, keep_v = 4085 / 4096, 4076 / 4096
    assert gradient.item() == pytest.approx(64 * (1 + keep_u + keep_v), rel=1e-12)


def test_tf32_and_bfloat16_rule_float32_out(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_float32_matmul_precision()
    cpu = torch.device("cpu")
    try:
        torch.set_float32_matmul_precision("medium")
        assert not devices.float32_is_exact(cpu) and not devices.float32_is_exact(torch.device("cuda"))
        torch.set_float32_matmul_precision("highest")
        assert devices.float32_is_exact(cpu) and devices.float32_is_exact(torch.device("cuda"))
    finally:
        torch.set_float32_matmul_precision(before)
