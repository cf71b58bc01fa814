"""Audio-visual data sets, as NumPy arrays. `load(name)` gives one; nothing here needs torch."""

from snnfuse.data import av_digits, mnist_fsdd, nmnist_fsdd
from snnfuse.data.events import mnistdvs_ntidigits
from snnfuse.data.events import published as published_events
from snnfuse.data.folders import cifar10, cifar10_av, cifar_esc, crema_d, esc10, published, urbansound8k, urbansound8k_av
from snnfuse.data.pairs import AudioVisual, Pairs, Pool, draw_pairs, hold_out, make_pairs, redraw
from snnfuse.data.registry import is_own, load, names, register_data_set, same_reading
from snnfuse.data.settings import Settings
from snnfuse.data.signals import Signal

for _module in (av_digits, mnist_fsdd, mnistdvs_ntidigits, nmnist_fsdd):
    register_data_set(_module.NAME, _module.load)
for _module in (cifar10, cifar10_av, urbansound8k_av, crema_d, esc10, cifar_esc, urbansound8k):
    register_data_set(_module.KIND.name, _module.load)
for _set in published.SETS:
    register_data_set(_set.name, _set.load)
register_data_set(published_events.NAME, published_events.load)

__all__ = [
    "AudioVisual",
    "Pairs",
    "Pool",
    "Settings",
    "Signal",
    "draw_pairs",
    "hold_out",
    "is_own",
    "load",
    "make_pairs",
    "names",
    "redraw",
    "register_data_set",
    "same_reading",
]
