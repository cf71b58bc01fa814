"""What NIR has and snnTorch's layers lack, on Lava: a loop over two populations, with delays in it."""

import pytest
from lowering_graphs import ping_pong, spikes

from snnfuse.export import quantize
from snnfuse.hardware import compare, emulate, simulate_on_lava


@pytest.mark.usefixtures("lava")
def test_a_loop_of_two_populations_with_delays_is_the_same_on_lava() -> None:
    """Several samples back to back: nothing of one reaches the next."""
    x = spikes(40, 4, 4)
    program = quantize(ping_pong(), x)
    assert any(c.is_recurrent and c.lag == 2 for c in program.connections)
    events = program.encode(x)
    lava = simulate_on_lava(program, events, record="all", states=True)
    result = compare(emulate(program, events, "all", states=True), lava)
    assert result.mismatches == 0 and result.compared == 40 * 4 * (8 + 4 + 4) * 3
