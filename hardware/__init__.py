"""The target: fixed-point rules, the Program, and the backends that run it."""

from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.backends.lava import simulate_on_lava, to_lava
from snnfuse.hardware.backends.ray_cluster import emulate_on_cluster
from snnfuse.hardware.backends.torch_backend import run_torch
from snnfuse.hardware.ir.alpha import AlphaLif
from snnfuse.hardware.ir.bias_input import BiasedLif, BiasInput
from snnfuse.hardware.ir.encoding import encode, scores
from snnfuse.hardware.ir.graded import Product, Relay
from snnfuse.hardware.ir.inverse_root import InverseRoot
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.maximum import Maximum
from snnfuse.hardware.ir.nodes import Connection, Constant, DeclaredInput, GradedInput, Output, SpikeInput
from snnfuse.hardware.ir.pipeline import Link, Pipeline
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.projected_input import ProjectedInput
from snnfuse.hardware.ir.recording import Comparison, Mismatch, Recording, compare
from snnfuse.hardware.ir.resonate_and_fire import ResonateAndFire
from snnfuse.hardware.ir.sigma_delta import Delta, Sigma, SigmaDelta
from snnfuse.hardware.ir.synapses import Conv2d, Dense, Diagonal, Sparse

__all__ = [
    "BiasInput",
    "BiasedLif",
    "AlphaLif",
    "Comparison",
    "Connection",
    "Constant",
    "Conv2d",
    "Delta",
    "Dense",
    "Diagonal",
    "DeclaredInput",
    "GradedInput",
    "InverseRoot",
    "Lif",
    "Link",
    "Maximum",
    "Mismatch",
    "Output",
    "Pipeline",
    "Product",
    "ProjectedInput",
    "Program",
    "Recording",
    "Relay",
    "ResonateAndFire",
    "Sigma",
    "SigmaDelta",
    "Sparse",
    "SpikeInput",
    "compare",
    "emulate",
    "emulate_on_cluster",
    "encode",
    "run_torch",
    "scores",
    "simulate_on_lava",
    "to_lava",
]
