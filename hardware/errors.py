"""Every error a user can meet, with the exit code that the command line ends with.

A message says what is wrong, where, and what to do. Nothing here imports anything, so that any layer may raise them.
"""


class SnnfuseError(Exception):
    """Base of all errors that snnfuse raises on purpose.

    Attributes:
        exit_code: what the command line ends with: 1 verification failed, 2 bad input, path or usage, 3 unsupported,
            4 does not fit the chip, 5 unsafe file, 6 environment.
    """

    exit_code = 2


class VerificationError(SnnfuseError):
    """Two runs that must agree do not, or a file is not what its manifest says."""

    exit_code = 1


class InputError(SnnfuseError, ValueError):
    """A value, shape, file or path that a user gave cannot be used."""


class UnforeseenFileError(InputError):
    """A file made its reader fail in a way that nobody foresaw: the cause is the exception. If the file is sound, the fault is ours."""


class FixedPointError(InputError):
    """A value does not fit the chip's register for it."""


class UnsupportedError(SnnfuseError):
    """The model holds something that cannot be kept with its meaning; the message names it and a way out."""

    exit_code = 3


class DoesNotFitError(SnnfuseError):
    """The program exceeds a limit of the chip or board."""

    exit_code = 4


class UnsafeFileError(SnnfuseError):
    """Opening the file would execute code from it, read other files, or ask for more than the limits allow."""

    exit_code = 5


class CalibrationWarning(UserWarning):
    """Calibration data or weights that cannot be quantized well: what, where, and with which effect."""


class SaturationWarning(UserWarning):
    """Inputs reach beyond what a program was calibrated for, and are cut there."""


class RangeWarning(UserWarning):
    """Inputs use a small part of the range that a program was calibrated for, so that they keep few digits, or are scaled otherwise."""


class WindowWarning(UserWarning):
    """Another number of steps than a program was calibrated for: a mean is rounded to what the next program can hold, or sums over time
    go beyond what is multiplied by them exactly."""


class CheckpointWarning(UserWarning):
    """A file of weights holds more than the model, or less than all settings of its neurons, and is opened all the same."""


class DataWarning(UserWarning):
    """What data made their reader do or look like: recordings of two channels averaged, a whole sequence in the place of one step."""


class NetxWarning(UserWarning):
    """lava-dl's netx would run a file as another network than the one that it holds."""


class EnvironmentProblem(SnnfuseError):
    """Something outside the model is missing or silent: Lava is not installed, or a time limit was reached."""

    exit_code = 6
