"""Which model runs each process: Lava's own step, without what it does again and again to no effect. Imports Lava.

Lava would find out by executing every module beside each process again, 10-20 ms per process. A test compares this table with what it
finds.
"""

from collections.abc import Iterable
from typing import Any

from snnfuse.hardware.backends.lava import stock
from snnfuse.hardware.backends.lava.network import LavaNetwork
from snnfuse.hardware.backends.lava.processes.events import EventSource, PyEventSourceModel
from snnfuse.hardware.backends.lava.processes.shifted_conv import PyShiftedConvModel, ShiftedConv
from snnfuse.hardware.backends.lava.recorders import tapped
from snnfuse.hardware.ir.kinds import NEURONS


class KeptDelayMatrix(stock.ModelMixin):
    """Before a synapse model with delays: what Lava computes from weights and delays at every step, it computes at the first."""

    def get_delay_wgts_mat(self, weights: Any, delays: Any, max_delay: int) -> Any:
        if "delay_matrix" not in vars(self):
            self.delay_matrix = super().get_delay_wgts_mat(weights, delays, max_delay)
        return self.delay_matrix


class KeptDelayDense(KeptDelayMatrix, stock.PyDelayDenseModelBitAcc):
    """Lava's DelayDense."""


class KeptDelaySparse(KeptDelayMatrix, stock.PyDelaySparseModelBitAcc):
    """Lava's DelaySparse."""


MODELS: dict[type, type] = {
    stock.Conv: stock.PyConvModelFixed,
    stock.DelayDense: KeptDelayDense,
    stock.DelaySparse: KeptDelaySparse,
    stock.Dense: stock.PyDenseModelBitAcc,
    stock.Reset: stock.PyResetFixed,
    stock.Sparse: stock.PySparseModelBitAcc,
    EventSource: PyEventSourceModel,
    ShiftedConv: PyShiftedConvModel,
}


def process_models() -> dict[type, type]:
    """The model of every process class, those of registered neuron kinds included, which have a tap."""
    forms = [kind.form("lava") for kind in NEURONS if kind.lava is not None]
    return MODELS | {process: tapped(model) for form in forms for process, model in form.models.items()}


def run_config(network: LavaNetwork, sources: Iterable[stock.AbstractProcess]) -> stock.Loihi2SimCfg:
    """How to run a network with what feeds it: neurons with their taps, everything else as Lava has it."""
    models = process_models()
    processes = (*network.neurons.values(), *network.constants.values(), *network.synapses, *network.resets, *sources)
    return stock.Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map={process: models[type(process)] for process in processes})
