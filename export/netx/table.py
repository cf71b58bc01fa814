"""What becomes of every kind of layer, neuron and value that a netx file may hold."""

from snnfuse.export.ops_table import Row

SPIKES = "train the network with slayer.block.cuba, or express it in snnTorch and export that"

REFUSED_LAYERS = {
    "pool": ("netx itself cannot build it", "use a conv layer with a stride instead of pooling"),
    "unpool": ("netx itself cannot build it", "leave the upsampling to the host"),
    "convT": ("netx itself cannot build it", "leave the upsampling to the host"),
    "concat": ("netx itself cannot build it", "build the branches in snnTorch and export that"),
    "add": ("netx skips it without a word, and with it the branch", "build the branches in snnTorch and export that"),
    "dense_comp": ("its complex weights need resonate-and-fire neurons", SPIKES),
}
REFUSED_NEURONS = {
    "RF": ("resonate-and-fire neurons have a complex state", SPIKES),
    "LIF": ("adaptive thresholds are no part of Loihi's stock neuron", SPIKES),
}

_KEPT = (
    ("dense", "", "Dense, in as many synapse groups as its weights need"),
    ("dense", "a delay per output neuron", "the neuron's inputs lag by it, as netx does; beyond 62 steps it is cut, as by netx"),
    ("dense", "a delay per output neuron that has a bias", "the neuron's spikes lag by it, as SLAYER trained it"),
    ("dense_rec", "", "Dense and a recurrent Dense"),
    ("dense_rec", "a delay per output neuron", "the spikes lag after the recurrence, as SLAYER trained it"),
    ("conv", "stride, padding, dilation, groups", "Conv2d"),
    ("conv", "a delay per channel", "lagging synapses; netx ignores it"),
    ("flatten", "", "channels first, as SLAYER and netx have it"),
    ("input", "without neurons", "binary spikes of its shape; numbers where input_message_bits or skipped sigma-delta layers say so"),
    ("input", "CUBA neurons", "one image per sample, written into their bias (BiasInput, BiasedLif), as netx's in_layer has it"),
    ("input", "SDNN neurons", "numbers into Delta neurons, which are on the host"),
    ("SDNN", "relu, or no activation", "SigmaDelta, as Lava's; netx runs relu whatever the file says"),
    ("SDNN", "sigma_output", "Sigma, whose last sum is read"),
    ("dense", "without neuron, the last layer", "readouts: their voltage is 64 times the sum of all currents, as in netx"),
    ("simulation/tSample", "", "steps of golden inputs, and of an inference in the energy model"),
    ("num_layers, skip_layers", "netx's arguments", "a part of the network; spike_exp, input_message_bits and reset_interval likewise"),
    ("bias", "of a mean-only batch normalisation", "the voltage's bias, from the start of each window"),
    ("CUBA, LOIHI", "", "Lif; du = iDecay - 1, dv = vDecay, vth = vThMant, per layer, channel or neuron"),
    ("weights", "odd, mixed signs, beyond 127", "two synapse groups; netx needs 9 bits, which no chip has"),
    ("weights", "excitatory, beyond 255", "two synapse groups; netx makes them 0"),
    ("weights", "all inhibitory, largest a power of two", "as they are; netx may make them 0"),
    ("wgtExp", "0 and more, or weights that it divides", "the synapses' exponent; netx ignores it"),
)
_CHANGED = (
    ("refDelay", "more than 1", "left out, as netx does: the neuron may fire again at once"),
    ("vDecay", "4096", "4095: the register has 12 bits"),
    ("average", "the last layer", "readouts that add up each group's spikes; SLAYER takes their mean, and netx cannot build it"),
    ("input", "CUBA neurons with iDecay below 4096", "their bias, as in netx; SLAYER adds it to the current, which fades"),
    ("other datasets", "in a layer or neuron", "left out, as in netx"),
    ("wgtExp", "negative", "the synapses' exponent, which rounds the sum down"),
    ("weight_exp", "of a batch normalisation, not 0", "exponents of synapses and bias, before the current's decay and not after"),
)
_REFUSED = (
    ("input", "SDNN neurons with a bias", "graded inputs have no offset", "feed what its neurons send, with skip_layers=1"),
    ("reset_offset", "in the middle of a sample", "windows begin where samples do", "leave it out"),
    ("SDNN", "other activations", "Lava's sigma-delta neurons have relu, or none", "train with torch.nn.functional.relu"),
    ("gradedSpike", "true", "spikes that carry the voltage are not supported", "train with graded_spike=False"),
    ("dense", "without neuron, inside", "SLAYER passes on its current, netx never fires", "export the block with dynamics=True"),
    ("other types", "", "netx skips them without a word", "express them as dense or conv layers"),
)


def ops_rows() -> tuple[Row, ...]:
    """The rows of netx files for `snnfuse ops`."""
    group = "netx layer"
    rows = [Row(group, name, case, "exact", how) for name, case, how in _KEPT]
    rows += [Row(group, name, case, "approximate", how) for name, case, how in _CHANGED]
    rows += [Row(group, name, case, "refused", why, out) for name, case, why, out in _REFUSED]
    rows += [Row(group, name, "", "refused", *reason) for name, reason in REFUSED_LAYERS.items()]
    names = {"RF": "RF, RF_IZ, ADRF neurons", "LIF": "ALIF neuron"}
    rows += [Row(group, names[name], "", "refused", *reason) for name, reason in REFUSED_NEURONS.items()]
    return tuple(rows)
