"""The arithmetic of neurons that need microcode, as pseudo-code in the operations that Loihi 2's microcode is publicly known to have.

No assembler and no program of that microcode is public, so that this is text for a person with access to Intel's tools: what has to be
computed, in which order and in which rounding. Registers hold integers; beyond the names of the operations their exact meaning is assumed:

    RDC x p          x = the sum that arrived at port p in this step
    RMW x name       x = the state; it is written back when the program ends, unless MOV gives it another value
    MOV x a          x = a                          SEL x c a b      x = a where c, otherwise b
    ADD x a b        x = a + b                      NEG x a          x = -a
    MIN x a b        x = the smaller                MUL_SHR x a b n  x = a b / 2**n, rounded down
    AND, OR x a b    bit by bit                     SHL x a n        x = the low 32 bits of a 2**n, with their sign
    LT, GE, EQ c a b c = 1 where a < b, a >= b, a = b, otherwise 0
    SKP_C c n        skip the next n operations where c
    SPIKE x          send x as a payload; SPIKE alone sends a spike

A test runs every program and compares what it sends and leaves, with ==, with the neuron's step.
"""

from collections.abc import Iterator

from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.alpha import AlphaLif
from snnfuse.hardware.ir.fixed_point import DECAY_BITS, STATE_LIMIT
from snnfuse.hardware.ir.graded import Product
from snnfuse.hardware.ir.inverse_root import (
    ITERATIONS,
    LARGEST_EXPONENT,
    MANTISSA_BITS,
    ROOT_BITS,
    SLOPE,
    SLOPE_BITS,
    START,
    InverseRoot,
)
from snnfuse.hardware.ir.kinds import NEURONS
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.maximum import Maximum
from snnfuse.hardware.ir.nodes import Neuron
from snnfuse.hardware.ir.resonate_and_fire import ResonateAndFire

Lines = list[str]


def pseudo_code(node: Neuron) -> Lines:
    """Return a neuron's step, an operation per line, with its parameters by name in braces.

    Raises:
        UnsupportedError: none is written for its kind.
    """
    form = NEURONS.of(node).microcode
    if form is None:
        raise UnsupportedError(f"no pseudo-code is written for {type(node).__name__}")
    return NEURONS.of(node).form("microcode")(node)


def lif(node: Lif) -> Lines:
    """Return the step of a LIF with any reset rule."""
    return [
        *("RDC a 0", "RMW u u", "RMW v v", "SHL h {vth} 6"),
        "LT r h v            # the stored voltage is above threshold: the spike of the step before",
        *_trunc("u", "{4096 - du - 1}", 12),
        *("SHL a a 6", "ADD u u a", "SHL u u 0"),
        *_wrap("u"),
        *(("SEL v r 0 v",) if node.reset == "zero_stored" else ()),
        *_trunc("v", "{4096 - dv}", 12),
        "ADD v v u",
        *(
            ("RDC b 1            # what the host wrote into the bias register", "ADD b b {bias_mant}")
            if node.ports > 1
            else ("MOV b {bias_mant}",)
        ),
        *("SHL b b {bias_exp}", "ADD v v b"),
        *(("NEG m h", "SEL m r m 0", "ADD v v m") if node.reset == "subtract_delayed" else ()),
        *(("SEL v r 0 v",) if node.reset == "zero_delayed" else ()),
        *_clip("v"),
        *(("ADD m h h", "SEL t r m h") if node.reset == "subtract_undelayed" else ("MOV t h",)),
        "LT s t v",
        *(("SEL v s 0 v",) if node.reset == "zero" else ()),
        *(("NEG m h", "SEL m s m 0", "ADD v v m") if node.reset in ("subtract", "subtract_undelayed") else ()),
        *("EQ n s 0", "SKP_C n 1", "SPIKE"),
    ]


def alpha(node: AlphaLif) -> Lines:
    """Return the step of an alpha neuron."""
    late = {
        "none": [],
        "zero": ["SEL e r 0 e", "SEL h r 0 h", "SEL v r 0 v"],
        "subtract": ["NEG m t", "SEL m r m 0", "ADD e e m", "SEL h r 0 h", "SEL m r w 0", "ADD v v m"],
    }
    return [
        *("RDC a 0", "RMW e e", "RMW h h", "RMW v v", "MOV w h", "SHL t {vth} 6", "LT r t v", "SHL a a 6"),
        *_scaled("e", "e", "{4096 - de}", DECAY_BITS),
        *_scaled("h", "h", "{4096 - dh}", DECAY_BITS),
        *("ADD e e a", "NEG a a", "ADD h h a", "ADD v e h"),
        *_scaled("v", "v", "{gain}", DECAY_BITS),
        *late[node.reset],
        *(line for state in "ehv" for line in _clip(state)),
        *("LT s t v", "EQ n s 0", "SKP_C n 1", "SPIKE"),
    ]


def resonate_and_fire(node: ResonateAndFire) -> Lines:
    """Return the step of a resonator."""
    return [
        *("RDC a 0", "RDC b 1", "RMW x real", "RMW y imag", "MOV w y"),
        *_scaled("p", "x", "{cos_decay}", node.decay_bits),
        *_scaled("q", "y", "{sin_decay}", node.decay_bits),
        *_scaled("i", "x", "{sin_decay}", node.decay_bits),
        *_scaled("j", "y", "{cos_decay}", node.decay_bits),
        *("SHL a a {state_exp}", "SHL b b {state_exp}", "NEG q q", "ADD x p q", "ADD x x a", "ADD y i j", "ADD y y b"),
        *_clip("x"),
        *_clip("y"),
        *("GE s x {vth}", "GE c y 0", "AND s s c", "LT c w 0", "AND s s c", "EQ n s 0", "SKP_C n 1", "SPIKE"),
    ]


def product(node: Product) -> Lines:
    """Return the step of a product: the low 32 bits of the product, shifted."""
    return ["RDC a 0", "RDC b 1", "MUL_SHR p a b 0", "SHL p p 0", "MUL_SHR p p 1 {exponent}", *_send("p")]


def relay(node: Neuron) -> Lines:
    """Return the step of a relay."""
    return ["RDC a 0", *_send("a")]


def maximum(node: Maximum) -> Lines:
    """Return the step of a maximum, whose ports are compared in turn."""
    found = ["RDC p 0"]
    for port in range(1, node.ports):
        found += [f"RDC a {port}", "LT c p a", "SEL p c a p"]
    return [*found, *_send("p")]


def inverse_root(node: InverseRoot) -> Lines:
    """Return the step of an inverse root, its iterations written out."""
    found = ["RDC a 0", "MOV e 0"]
    for k in range(1, LARGEST_EXPONENT + 1):
        found += [f"GE c a {4**k}", "ADD e e c"]
    found += ["ADD d e e", f"MUL_SHR m a {1 << MANTISSA_BITS} d"]
    found += [f"MUL_SHR y m {SLOPE} {SLOPE_BITS}", "NEG y y", f"ADD y y {START}"]
    for _ in range(ITERATIONS):
        found += [f"MUL_SHR q y y {ROOT_BITS}", f"MUL_SHR q m q {MANTISSA_BITS}", "NEG q q", f"ADD q q {3 << ROOT_BITS}"]
        found += [f"MUL_SHR y y q {ROOT_BITS + 1}"]
    found += [f"SHL h {1 << (ROOT_BITS - 1)} e", "MUL_SHR s y {gain} 0", "ADD s s h", f"ADD d e {ROOT_BITS}", "MUL_SHR s s 1 d"]
    return [*found, "LT c 0 a", "SEL s c s 0", *_send("s")]


def _send(register: str) -> Iterator[str]:
    """A payload, unless it is 0 or the one number whose magnitude 32 bits do not hold."""
    yield from (f"EQ n {register} 0", f"EQ c {register} {-(1 << 31)}", "OR n n c", "SKP_C n 1", f"SPIKE {register}")


def _trunc(register: str, factor: str, bits: int) -> Iterator[str]:
    """register * factor / 2**bits, towards zero: the magnitude is shifted."""
    yield from _scaled(register, register, factor, bits)


def _scaled(target: str, source: str, factor: str, bits: int) -> Iterator[str]:
    """source * factor / 2**bits, towards zero, for factors of either sign."""
    yield from (f"MUL_SHR k {source} {factor} 0", "LT c k 0", "NEG m k", "SEL m c m k", f"MUL_SHR m m 1 {bits}", "NEG l m")
    yield f"SEL {target} c l m"


def _wrap(register: str) -> Iterator[str]:
    """Once around 24 bits; 2**23 itself stands."""
    yield from (f"LT c {STATE_LIMIT} {register}", f"SEL m c {-2 * STATE_LIMIT} 0", f"GE c {-STATE_LIMIT} {register}")
    yield from (f"SEL l c {2 * STATE_LIMIT} 0", f"ADD {register} {register} m", f"ADD {register} {register} l")


def _clip(register: str) -> Iterator[str]:
    """To one below 2**23 on both sides."""
    for _ in range(2):
        yield from (f"MIN {register} {register} {STATE_LIMIT - 1}", f"NEG {register} {register}")
