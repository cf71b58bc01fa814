"""N-MNIST's recordings, .bs2 or .bin: 5 bytes per event, big-endian (G. Orchard et al., Front. Neurosci. 9:437, 2015).

byte 0      x, from the left
byte 1      y, from the top
bit 23      of the other three bytes: polarity, 1 is ON (brighter)
bits 0..22  time, microseconds
"""

import numpy as np

from snnfuse.data.events.stream import Events
from snnfuse.hardware.errors import InputError

SIDE = 34
BYTES = 5
POLARITY = 1 << 23


def decode_bs2(raw: bytes, source: str) -> Events:
    """The events of a file's content, (2, 34, 34).

    source: names the file in errors.

    Raises:
        InputError: it ends within an event, holds none, an address that no pixel has, or a time that runs backwards.
    """
    rest = len(raw) % BYTES
    if rest:
        raise InputError(f"{source}: ends within event {len(raw) // BYTES}, {rest} of {BYTES} bytes; fetch it again")
    if not raw:
        raise InputError(f"{source}: holds no events")
    x, y, high, middle, low = np.frombuffer(raw, np.uint8).reshape(-1, BYTES).astype(np.int64).T
    word = (high << 16) | (middle << 8) | low
    return Events(t=word & (POLARITY - 1), x=x, y=y, p=word // POLARITY, shape=(2, SIDE, SIDE), source=source)
