"""Every limit of a Loihi 2 chip that placement knows, as data: value, unit, how sure it is, and its source.

Intel has not published how a core packs its memory. The numbers called `measured` are read off the logs that Intel's own compiler
printed for published runs (lava-dl's notebooks `netx/pilotnet_snn/benchmark.ipynb`, `netx/pilotnet_sdnn/benchmark.ipynb`,
`netx/oxford/run.ipynb` and `netx/yolo_kp/run_eth.ipynb`): they list what every core of a layer holds, YOLO-KP's in per cent of the limit.
"""

from dataclasses import dataclass
from types import MappingProxyType

from snnfuse.hardware.ir.kinds import Status


@dataclass(frozen=True)
class Limit:
    """A number of the chip, and how sure it is.

    Attributes:
        what: the quantity, in words.
        value: the number.
        unit: of the number.
        status: measured (a published run), models agree (two public models), or assumed.
        source: where it is from.
        enforced: whether placement refuses what exceeds it; otherwise it is stated for comparison.
    """

    what: str
    value: int
    unit: str
    status: Status
    source: str
    enforced: bool = True

    def __str__(self) -> str:
        return f"{self.value} {self.what} ({self.status})"


PARTITION = "lava-dl's published PilotNet and Oxford logs, per core distribution"
UTILISATION = "lava-dl's published YOLO-KP log, per core utilization"
LIMITS = MappingProxyType(
    {
        "cores": Limit(
            "usable cores per chip", 120, "cores", "assumed",
            "Lava's compiler constant NUM_VIRTUAL_CORES for N3 boards; a chip has 128",
        ),
        "neurons": Limit(
            "neurons per core", 4095, "neurons", "measured",
            f"{UTILISATION}: 3,584 neurons are 87.52 %, 2,688 are 65.64 %. Press: 8,192",
        ),
        "state_words": Limit(
            "words of state memory per core, 64 bits each", 8192, "words", "assumed",
            "press: 8,192 neurons per core, of a word each; a LIF takes one, an Izhikevich neuron in microcode three "
            "(OzU-CAST/LoihiScalingEfficiency, CxStates). YOLO-KP's sigma-delta neurons, 3,584 on a core, then take two at most",
        ),
        "synapse_words": Limit(
            "words of synapse memory per core", 12_000, "words", "measured",
            "PilotNet's and Oxford's logs print the bound beside each violation: SynMem 12000. YOLO-KP's later log fits 16,000, the 128 KB "
            "of Intel's brief; snnfuse map says what that would change",
        ),
        "word_bits": Limit(
            "bits per word of synapse memory", 64, "bits", "assumed",
            f"as on Loihi 1 (128 KB in 16,384 words); the convolutions of {PARTITION} fit it and not 32. 96 KB of a core's 192 KB",
        ),
        "index_bits": Limit(
            "bits of the target's index in a listed synapse, or more where a core has more neurons", 8, "bits", "assumed",
            f"{PARTITION}: rows of 1, 10, 17, 50 and 100 targets take 1, 3, 5, 13 (or 15) and 26 (or 24) words: ceil((16 n + 32) / 64)",
        ),
        "axon_bits": Limit("bits in front of an axon's synapse list", 32, "bits", "assumed", "the same rows"),
        "axons_in": Limit(
            "input axons per core", 8192, "axons", "assumed",
            f"twice Loihi 1's 4,096 (nengo-loihi); {UTILISATION}: 0.01 % for an axon or two, so 6,667 or more; PilotNet uses 2,560",
        ),
        "axons_out": Limit(
            "output axons per core", 16_000, "axons", "measured",
            f"{UTILISATION}: one each for 2,688 neurons is 16.80 %",
        ),
        "delay_slots": Limit(
            "slots of delayed input per core, one per neuron, port and step", 32_768, "slots", "assumed",
            "eight steps for each of 4,096 neurons; Loihi 1 trades neurons for delay in the same way",
        ),
        "weight_bits": Limit("bits per weight", 8, "bits", "models agree", "Lava, utils/weightutils.py; nengo-loihi"),
        "delay": Limit("steps of synaptic delay", 62, "steps", "models agree", "Lava's Delay processes; Loihi 1 (Davies 2018)"),
        "payload_bits": Limit("bits of a graded spike", 24, "bits", "models agree", "Lava's models; open-neuromorphic says up to 32"),
        "state_bits": Limit("bits of a neuron's state", 24, "bits", "models agree", "Lava's fixed-point models; nengo-loihi", False),
        "state_bytes": Limit("bytes of state per neuron", 4096, "bytes", "assumed", "Intel's 2021 technology brief, from memory", False),
        "processors": Limit("embedded x86 processors per chip", 6, "processors", "assumed", "WikiChip", False),
    }
)  # fmt: skip
"""By the name that a board file and the code use."""

LATER_SYNAPSE_WORDS = 16_000
"""What a later compiler had in place of the 12,000 words of synapse memory."""

LOIHI1 = MappingProxyType({"neurons": 1024, "synapse_words": 16_384, "axons_in": 4096, "axons_out": 4096})
"""For contrast; nengo-loihi, `nengo_loihi/block.py` and `hardware/`: 128 KB are 16,384 words of 64 bits."""
