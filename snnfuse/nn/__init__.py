"""Training in the chip's own arithmetic: a network whose forward is the Program, and whose gradients are straight-through.

net     = snnfuse.nn.quantization_aware(model, calibration, sample=x[0], weight_bits=4)   # a torch.nn.Module
spikes  = net(x)                                                                          # x (time, batch, *shape)
program = net.program()                                                                   # the integers that forward used
"""

from snnfuse.nn.imitation import imitate
from snnfuse.nn.making import quantization_aware
from snnfuse.nn.module import FixedPointNetwork, Run

__all__ = ["FixedPointNetwork", "Run", "imitate", "quantization_aware"]
