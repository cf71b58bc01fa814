"""What a command's process is told before anything heavy is imported."""

import os
import platform
import subprocess
import sys

import pytest

from snnfuse.commands.process import THREADS, wait_asleep


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without what the user, or the Makefile, says of threads."""
    for name in (*THREADS, "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that it is put back as it was
        monkeypatch.delenv(name)
    return monkeypatch


def test_threads_sleep_and_blas_has_one(environment: pytest.MonkeyPatch) -> None:
    wait_asleep()
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["OPENBLAS_NUM_THREADS"]) == ("passive", "1")


@pytest.mark.parametrize("name", THREADS)
def test_whoever_chose_threads_keeps_them(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "3")
    environment.setenv("OMP_WAIT_POLICY", "active")
    wait_asleep()
    assert {n: os.environ.get(n) for n in THREADS} == {**dict.fromkeys(THREADS), name: "3"}
    assert os.environ["OMP_WAIT_POLICY"] == "active"


FAULTS = """
import resource, sys
import numpy as np
from snnfuse.commands.process import keep_memory
if "keep" in sys.argv:
    keep_memory()
np.ones(1 << 23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(1 << 23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc, which can be told so")
def test_freed_memory_is_used_again() -> None:
    faults = [
        int(subprocess.run([sys.executable, "-c", FAULTS, *words], capture_output=True, text=True, check=True).stdout)
        for words in ([], ["keep"])
    ]
    assert faults[1] < 20 and faults[0] > faults[1], faults
