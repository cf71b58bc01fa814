"""Rows of a measurement, one JSON object a line, written as they come, so that one that was ended goes on where it was; and what several
seeds come to."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from snnfuse.data import AudioVisual

Row = dict[str, Any]
T_TWO_SIDED = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}  # 95 %, of n values


@dataclass(frozen=True)
class Kept:
    """A file of rows; None keeps them in memory only."""

    path: Path | None

    def read(self) -> list[Row]:
        """All rows so far; a last line that was broken off is left out."""
        if self.path is None or not self.path.exists():
            return []
        whole = self.path.read_text(encoding="utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def add(self, row: Row) -> None:
        """Append a row."""
        if self.path is not None:
            with self.path.open("a+b") as file:
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)  # a line that was broken off
                file.write(json.dumps(row).encode() + b"\n")

    def measured(self, wanted: Sequence[Row], measure: Callable[[Row], Iterator[Row]], minutes: float | None = None) -> list[Row]:
        """The rows of everything wanted: `measure` gives those of one, which is done where `read` has them marked as done; after so many
        minutes nothing more is begun."""
        rows, end = self.read(), time.monotonic() + (float("inf") if minutes is None else 60 * minutes)
        for one in wanted:
            if time.monotonic() >= end or any(row.get("done") and one.items() <= row.items() for row in rows):
                continue
            start = time.process_time()
            for row in (*measure(one), {"done": True, "seconds": round(time.process_time() - start, 1)}):
                rows.append({**one, **row})
                self.add(rows[-1])
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        return [row for row in rows if not row.get("done")]

    def row(self, key: Row, measure: Callable[[], Row]) -> Row:
        """The row that holds a key, measured and written now if there is none."""
        for row in self.read():
            if key.items() <= row.items():
                return row
        row = key | measure()
        self.add(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
        return row


def fewer(data: AudioVisual, pairs: int, tests: int) -> AudioVisual:
    """The first items of each class on the training side, so that an epoch draws about so many pairs, and the first test pairs."""
    first, *_ = data.train.pools
    pool = data.train.pools[first]
    each = max(1, pairs // len(np.unique(pool.labels)))
    chosen = np.zeros(len(pool), bool)
    for label in np.unique(pool.labels):
        chosen[np.flatnonzero(pool.labels == label)[:each]] = True
    test = replace(data.test, index=data.test.index[np.sort(np.random.default_rng(0).permutation(len(data.test))[:tests])])
    if data.train.is_fixed:
        return replace(data, test=test)
    from snnfuse.data import draw_pairs

    pools = {**data.train.pools, first: pool.part(chosen)}
    return replace(data, train=replace(data.train, pools=pools, index=draw_pairs(pools, data.settings.seed), rounds=1), test=test)


def epochs(shown: int, data: AudioVisual) -> int:
    """How many show so many training pairs in all."""
    return max(1, round(shown / len(data.train)))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval over seeds (Student's t)."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan")
    return mean, T_TWO_SIDED[len(values)] * float(np.std(values, ddof=1)) / len(values) ** 0.5


def shown(values: Sequence[float], digits: int = 1) -> str:
    """Mean and interval; the mean alone of one value, a dash of none."""
    if not values:
        return "–"
    mean, half = interval(values)
    return f"{mean:.{digits}f}" if len(values) < 2 else f"{mean:.{digits}f} ± {half:.{digits}f}"


def paired(rows: Sequence[Row], key: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[float]:
    """By seed, what rows like `one` are above rows like `other`."""

    def by_seed(like: Mapping[str, Any]) -> dict[int, float]:
        return {row["seed"]: row[key] for row in rows if like.items() <= row.items() and row.get(key) is not None}

    a, b = by_seed(one), by_seed(other)
    return [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]
