"""From the words of Python to those of the command line: the one place that says which argument is which option.

Messages of the library name arguments as Python takes them, `force=True`, `max_groups=3`. What a command prints names its options.
"""

import re

FLAGS = {
    "allow_pickle": "--allow-pickle", "batch_first": "--batch-first", "board": "--board", "calibration": "--calib", "decoder": "--decoder",
    "device": "--device", "devices": "--devices", "accelerator": "--accelerator", "dt": "--dt", "encode": "--encode", "force": "--force",
    "input_bits": "--input-bits", "l2": "--l2",
    "layout": "--layout", "max_drop": "--max-drop", "max_groups": "--max-groups", "model": "--model",
    "num_classes": "--num-classes", "output": "--read", "reset": "--reset", "resume": "--resume", "shapes": "--sample", "split": "--split",
    "rule": "--split", "target": "--target", "tier": "--tier", "time_steps": "--time-steps", "timeout": "--timeout",
    "weight_bits": "--weight-bits",
}  # fmt: skip
"""By argument, the option."""
BARE = ("allow_pickle", "batch_first", "input_bits", "max_drop", "max_groups", "num_classes", "time_steps", "weight_bits")
"""Arguments whose names are no words of English: an option without a value too."""
VALUE = r"""(?:'[^']*'|"[^"]*"|[^\s,;:)'"{\[]+)"""
_GIVEN = re.compile(rf"(?<![\w.\-=])({'|'.join(FLAGS)})=({VALUE})")
_BARE = re.compile(rf"(?<![\w.\-=/'\"])({'|'.join(BARE)})(?![\w=./'\"])")


def in_flags(text: str) -> str:
    """A message of the library with options in the place of arguments: `reset="zero"` is `--reset zero`, `force=True` is `--force`."""
    return _BARE.sub(lambda found: FLAGS[found[1]], _GIVEN.sub(_flag, text))


def _flag(found: re.Match[str]) -> str:
    value = found[2].strip("'\"").rstrip(".")
    return FLAGS[found[1]] if value == "True" else f"{FLAGS[found[1]]} {value}"
