"""The causes that a diagnosis names, with advice that works when followed as it stands."""

from dataclasses import dataclass

REWRITE = "it is not what the compiler writes for this float network: export it again, and verify the new bundle"
CAUSES: dict[str, str] = {
    # registers and wiring that the compiler would have written otherwise
    "weight value": REWRITE,
    "weight exponent": REWRITE,
    "decay value": REWRITE,
    "threshold value": REWRITE,
    "bias value": REWRITE,
    "bias placement": REWRITE,
    "reset rule": "export without asking for a reset, so that neurons keep their own; or train with the reset that the chip is to have",
    "delay or alignment": REWRITE,
    "wiring": REWRITE,
    "output": REWRITE,
    "neuron kind": REWRITE,
    "neuron parameter": REWRITE,
    "input scale": "export again with calibration data that are scaled as the data at run time",
    # what rounding and ranges do
    "weight rounding": "give its weights more bits (weight_bits=8) or groups (max_groups=3)",
    "decay rounding": "choose decays that are multiples of 1/4096 and train with them",
    "threshold rounding": "rescale its weights and threshold together by a power of two, so that the threshold takes more digits",
    "bias rounding": "rescale its weights, bias and threshold together by a power of two, so that the bias takes more digits",
    "threshold tie": "raise its threshold by a millionth, so that voltages that equal it do not fire",
    "wrap": "calibrate with data that reach as far as these, so that the current keeps within 24 bits",
    "clip": "calibrate with data that reach as far as these, or bound its voltage by inhibition, so that it keeps within 24 bits",
    "pooling": "pool spikes in place of currents, or average, and train so",
    "input range unused": "calibrate with data scaled as at run time, or scale the inputs as in calibration",
    "input range exceeded": "calibrate with data that reach as far as these, or scale the inputs as in calibration",
    "input rounding": "send the input with more bits (input_bits)",
    "too few calibration samples": "calibrate on 64 samples or more",
    "trained in integers": "compare with the network before fine-tuning only for its accuracy: its weights were changed on purpose",
}  # fmt: skip
"""By cause, the advice."""


@dataclass(frozen=True)
class Finding:
    """One difference between a program and what it is made from, or one effect of rounding, with its cause.

    Attributes:
        node: the layer or input that it concerns; "" where it concerns all.
        cause: one of `CAUSES`.
        what: what is there and what should be, in words with numbers.
        weight: by which findings of one audit are ranked, larger first.
        own_advice: what to do in this very case; "" for what `CAUSES` says.
    """

    node: str
    cause: str
    what: str
    weight: float = 0.0
    own_advice: str = ""

    @property
    def advice(self) -> str:
        """One sentence on what to do."""
        return self.own_advice or CAUSES[self.cause]

    def __str__(self) -> str:
        where = f"{self.node}: " if self.node else ""
        return f"{where}{self.cause}: {self.what}"
