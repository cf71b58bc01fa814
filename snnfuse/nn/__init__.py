"""Training in the chip's own arithmetic: a network whose forward is the Program, and whose gradients are straight-through.

net     = snnfuse.nn.quantization_aware(model, calibration, sample=x[0], weight_bits=4)   # a torch.nn.Module
spikes  = net(x)                                                                          # x (time, batch, *shape)
program = net.program()                                                                   # the integers that forward used

program = snnfuse.nn.sigma_delta(relu_model).program(calibration)                         # a ReLU network on sigma-delta neurons
"""

from snnfuse.nn.imitation import imitate
from snnfuse.nn.making import quantization_aware
from snnfuse.nn.module import FixedPointNetwork, Run
from snnfuse.nn.sigma_delta import SigmaDeltaNetwork, sigma_delta

__all__ = ["FixedPointNetwork", "Run", "SigmaDeltaNetwork", "imitate", "quantization_aware", "sigma_delta"]
