"""Objects show themselves in at most 30 lines of text and as a table, and pictures are made where matplotlib is."""

import copy
import pickle
import subprocess
import sys
from dataclasses import replace

import nir
import numpy as np
import pytest
import snntorch
import torch
from quantization_graphs import binary, chain, lif

from snnfuse import data
from snnfuse.data.samples import Samples
from snnfuse.export import lower, quantize, read_bundle, record_floats, to_nir, write_bundle
from snnfuse.hardware import Program, compare, emulate
from snnfuse.hardware.chip import check_chip
from snnfuse.hardware.pictures import draw_cores
from snnfuse.hardware.pictures.canvas import as_svg
from snnfuse.hardware.shown import LINES

RNG = np.random.default_rng(0)
DEEP = [n for _ in range(40) for n in (nir.Linear(RNG.normal(0.1, 0.6, (6, 6))), lif(6, 0.9))]
GRAPH = chain(*DEEP, size=6)
X = binary(12, 4, 6)


@pytest.fixture(scope="module")
def program() -> Program:
    return quantize(GRAPH, X, weight_bits=3)


def test_everything_shows_itself_in_30_lines_without_arrays(program: Program, tmp_path) -> None:
    a, b = (emulate(p, p.encode(X), "all", states=True) for p in (program, quantize(GRAPH, X)))
    bundle = write_bundle(tmp_path / "b", graph=GRAPH, program=program, golden=a, target="lava")
    digits = data.load("av-digits")
    objects = [program, program.ledger, a, compare(a, b), read_bundle(bundle.path), lower(GRAPH), record_floats(GRAPH, X)]
    objects += [read_bundle(bundle.path).graph, digits, digits.train, Samples({"input": X}, None, "drawn")]
    for each in objects:
        text, page = repr(each), each._repr_html_()
        assert 2 <= len(text.splitlines()) <= LINES and "array(" not in text + page and max(map(len, text.splitlines())) < 400
        assert "<table" in page and page.count("<tr>") > 1
    assert "and 15 more" in repr(program) or "more" in repr(program)
    assert program.ledger + () == tuple(program.ledger) and replace(program, ledger=()).ledger == ()


def test_a_shown_graph_is_nirs_own(tmp_path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(6, 3), snntorch.Leaky(beta=0.5, init_hidden=True, reset_delay=False))
    graph = to_nir(model, torch.zeros(1, 6))
    assert "array(" not in repr(graph) and "weight 3x6" in repr(graph) and "<table" in graph._repr_html_()
    nir.write(tmp_path / "g.nir", graph)
    again = nir.read(tmp_path / "g.nir")
    assert type(again) is nir.NIRGraph and isinstance(graph, nir.NIRGraph) and graph.to_dict()["type"] == "NIRGraph"
    assert repr(copy.deepcopy(graph)) == repr(graph) == repr(pickle.loads(pickle.dumps(graph)))


def test_text_of_names_is_escaped(program: Program) -> None:
    named = replace(program, outputs={"<script>": program.outputs["output"]})
    assert "<script>" not in named._repr_html_()


def test_pictures_are_equal_for_equal_content(program: Program) -> None:
    a = emulate(program, program.encode(X), "all", states=True)
    floats = record_floats(GRAPH, X)
    small = quantize(chain(*DEEP[:4], size=6), X)
    run = emulate(small, small.encode(X), "all", states=True)
    for draw in (lambda: floats.raster(a, nodes=["n1", "n9"]), lambda: small.graph(), lambda: small.profile(run),
                 lambda: draw_cores(check_chip(small))):  # fmt: skip
        assert as_svg(draw()) == as_svg(draw())
    assert "n9" in as_svg(floats.raster(a, nodes=["n9"]))
    with pytest.raises(ValueError, match="no layer 'n99'"):
        a.raster(nodes=["n99"])


def test_the_target_imports_no_matplotlib() -> None:
    subprocess.run([sys.executable, "-c", "import sys, snnfuse.hardware; assert 'matplotlib' not in sys.modules"], check=True)
