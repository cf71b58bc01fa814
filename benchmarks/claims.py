"""What the benchmarks of the papers' claims share: data sets, a part of each that two cores train, rows over seeds, and their tables."""

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fd_fusion_page import replace_figures, table
from benchmarks.rows import Kept, Row, fewer, interval, paired, shown
from snnfuse.data import AudioVisual, Settings, load
from snnfuse.measures import discriminate

DATA = ("mnist-fsdd", "nmnist-fsdd", "cifar-esc")
GEOMETRY = (("compactness", 1), ("separability", 1), ("fisher", 2))
Cell = Callable[[Sequence[Row]], str]  # of the rows of several seeds
Columns = Mapping[str, Cell]  # by heading


def parser(document: str, sets: Sequence[str] = DATA, **sizes: int) -> argparse.ArgumentParser:
    """The options of all; sizes are part of what a row is of."""
    made = argparse.ArgumentParser(description=document.splitlines()[0])
    made.add_argument("--data-dir", type=Path, help="default: $SNNFUSE_DATA, else ../shared/data")
    made.add_argument("--data", action="append", choices=DATA, help=f"default: {', '.join(sets)}")
    made.add_argument("--seeds", type=int, default=3)
    words = {"shown": "training pairs shown in all: as many epochs as that takes", "pairs": "training pairs of an epoch, at most",
             "tests": "test pairs, at most", "channels": "of each token"}  # fmt: skip
    for name, default in sizes.items():
        made.add_argument(f"--{name}", type=int, default=default, help=words.get(name, name))
    made.add_argument("--deployed-seeds", type=int, default=1, help="seeds whose networks are deployed too")
    made.add_argument("--keep", type=Path, metavar="FILE", help="rows, as JSON lines; what it has is not measured again")
    made.add_argument("--minutes", type=float, help="after which nothing more is begun; what is missing is measured by the next call")
    made.add_argument("--docs", type=Path, metavar="DIR", help="write the tables into the page there")
    made.set_defaults(sizes=tuple(sizes), sets=tuple(sets))
    return made


@cache
def part(name: str, data_dir: Path | None, pairs: int, tests: int, settings: Settings = Settings()) -> AudioVisual:
    """Of a data set, what is trained and tested on."""
    return fewer(load(name, data_dir, settings), pairs, tests)


def rows(options: argparse.Namespace, key: str, names: Sequence[str], measure: Callable[[Row], Iterator[Row]]) -> list[Row]:
    """Those of every seed, data set and name, measured now or kept; sizes other than those asked for are left out."""
    size = {name: getattr(options, name) for name in options.sizes}
    seeds, sets = range(options.seeds), options.data or options.sets
    wanted = [{"data": data, key: name, "seed": seed, **size} for seed in seeds for data in sets for name in names]
    return [row for row in Kept(options.keep).measured(wanted, measure, options.minutes) if size.items() <= row.items()]


def geometry(name: str, values: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """How well an embedding (batch, ...) tells classes apart, as figures of a row."""
    found = discriminate(values, labels)
    return {f"{name} {key}": getattr(found, key) for key in (*(key for key, _ in GEOMETRY), "silent")}


def values(like: Sequence[Row], key: str) -> list[float]:
    """A figure of several seeds, of those that have it."""
    return [row[key] for row in like if row.get(key) is not None]


def mean_of(*keys: str, digits: int = 2, between: str = " / ") -> Cell:
    """Means and intervals of figures; nothing where no row has any."""
    return lambda like: between.join(shown(values(like, key), digits) for key in keys) if any(values(like, key) for key in keys) else ""


def geometry_of(name: str) -> Cell:
    """Of one embedding; nothing where no row has it."""
    cells = [mean_of(f"{name} {key}", digits=digits) for key, digits in GEOMETRY]
    return lambda like: ", ".join(found) if all(found := [cell(like) for cell in cells]) else ""


def first_of(key: str, form: str = "{:,.0f}") -> Cell:
    """A figure that is the same for all seeds, or of which one seed is enough."""
    return lambda like: form.format(values(like, key)[0]) if values(like, key) else ""


def lines(groups: Iterable[tuple[Sequence[str], Sequence[Row]]], heads: Sequence[str], columns: Columns) -> str:
    """A table with a line per group of rows that has any: its words, and a cell per column."""
    return table((*heads, *columns), [(*words, *(cell(like) for cell in columns.values())) for words, like in groups if like])


def gain(own: Sequence[Row], one: Row, other: Row, key: str, digits: int) -> str:
    """By seed, what rows like one have more of a figure than rows like the other; bold where an interval of 95 % leaves zero out."""
    differences = paired(own, key, one, other)
    text = shown(differences, digits)
    if len(differences) < 2:
        return text
    mean, half = interval(differences)
    return f"**{text}**" if abs(mean) > half else text


def sections(found: Sequence[Row], tables: Callable[[Sequence[Row]], Iterable[str]]) -> str:
    """A part of the page per data set: what was measured, and its tables and sentences."""
    parts = []
    for data in dict.fromkeys(row["data"] for row in found):
        own = [row for row in found if row["data"] == data]
        seeds = ", ".join(str(seed) for seed in sorted({row["seed"] for row in own}))
        channels = f"{own[0]['channels']} channels, " if "channels" in own[0] else ""
        parts.append(f"**{data}**: {own[0]['shown']} training pairs shown, {channels}{own[0]['tests']} test pairs, seeds {seeds}.")
        parts += tables(own)
    return "\n\n".join(parts) + "\n\n"


def publish(text: str, options: argparse.Namespace, begin: str, end: str, page: str = "claims.md") -> None:
    """Print it, or write it into the page between two marks."""
    print(text) if options.docs is None else replace_figures(options.docs / page, begin, end, text)
