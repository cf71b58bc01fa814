"""Encoders of the input that a forward calls itself: what they refuse is said of the encoder, not of an operation inside it."""

import sys

from snnfuse.export.tracing.nodes.refusal import Refusal, refusal

ENCODERS = "snntorch.spikegen"


def named_by_encoder(error: Refusal) -> Refusal:
    """The same refusal, or where it was raised inside a function of snntorch.spikegen, of that function. For an `except` clause."""
    frame, name = sys._getframe(1), ""
    while frame is not None:
        if frame.f_globals.get("__name__") == ENCODERS:
            name = frame.f_code.co_name  # the outermost is the one that forward calls
        frame = frame.f_back
    if not name:
        return error
    where = error.where.partition(":")[0]
    reason = f"forward encodes its input with spikegen.{name}, which is no layer of a network"
    advice = f"let forward take the spikes, and give it those of spikegen.{name}(x, ...) as sample and calibration data"
    return refusal(f"{where}: spikegen.{name}", reason, advice)
