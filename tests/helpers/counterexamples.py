"""The claim that a backend equals the reference, checked of a random program; the smallest one that it fails for is kept as files."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from random_programs import Case

from snnfuse.testing.cases import BitExact
from snnfuse.testing.storing import replay_command, write_case

KEPT = Path(__file__).parents[1] / "data" / "counterexamples"


@dataclass
class Counterexamples:
    """Of one test: hypothesis runs the smallest failing program last, so that each failure replaces the one before.

    Attributes:
        folder: where they are kept.
        test: the test's name.
        last: the folder of the last failure.
    """

    folder: Path
    test: str
    last: Path | None = None

    def require_equal(self, case: Case, backend: str) -> None:
        """Compare every spike and every state of every node with the reference; a difference is kept, and fails."""
        claim = BitExact(case.program, case.events, backend)
        check = claim.check()
        if not check.passed:
            self._keep(claim)
            raise AssertionError(f"{claim.describe(check)}\nkept; replay with: {replay_command(self.last)}")

    def _keep(self, claim: BitExact) -> None:
        before, self.last = self.last, write_case(claim, self.folder, self.test)
        if before not in (None, self.last):
            shutil.rmtree(before)
