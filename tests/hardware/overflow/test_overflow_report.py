"""Verdicts in a report: witnesses come back as the inputs that they were, and overflow when they run again."""

import json

import numpy as np
import pytest

from benchmarks.overflow import random_network
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.overflow import prove, to_json, witness_events
from snnfuse.hardware.overflow.raw_states import excess


def test_witnesses_survive_json_and_overflow_again() -> None:
    replayed = 0
    for seed in range(4):
        program = random_network(np.random.default_rng((5, seed)))
        verdicts = prove(program, seed=seed)
        rows = json.loads(json.dumps(to_json(verdicts)))
        assert [row["status"] for row in rows] == [v.status for v in verdicts]
        for row, verdict in zip(rows, verdicts):
            if verdict.witness is None:
                with pytest.raises(InputError, match="there is no witness to run"):
                    witness_events(program, row)
                continue
            events = witness_events(program, row)
            np.testing.assert_array_equal(events["in"], verdict.witness.events["in"])
            run = emulate(program, events, "all", states=True)
            assert (excess(program, run, row["node"], row["neuron"], row["event"])[-1] > 0).all()
            replayed += 1
    assert replayed > 2


def test_a_time_limit_leaves_proofs_and_cuts_searches() -> None:
    program = random_network(np.random.default_rng((5, 1)))
    whole, cut = prove(program), prove(program, seconds=0.0)
    assert [v.neurons for v in whole] == [v.neurons for v in cut]
    assert any(v.witness for v in whole)
    assert not any(v.witness for v in cut)
