"""Objects show themselves in at most 30 lines of text and as a table, and draw themselves."""

import base64
import copy
import pickle
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from xml.etree import ElementTree

import nir
import numpy as np
import pytest
import snntorch
import torch
from quantization_graphs import binary, chain, lif

from snnfuse import data
from snnfuse.data.samples import Samples
from snnfuse.export import lower, quantize, read_bundle, record_floats, to_nir, write_bundle
from snnfuse.hardware import Program, Recording, compare, emulate
from snnfuse.hardware.chip import check_chip
from snnfuse.hardware.pictures import draw_cores
from snnfuse.hardware.pictures.canvas import ticks
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
        drawn = str(draw())
        assert drawn == str(draw()) and ElementTree.fromstring(drawn).tag.endswith("svg")
    assert "n9" in str(floats.raster(a, nodes=["n9"]))
    with pytest.raises(ValueError, match="no layer 'n99'"):
        a.raster(nodes=["n99"])


def test_a_raster_shows_every_spike_in_its_colour(tmp_path) -> None:
    spikes = np.zeros((5, 1, 3), bool)
    spikes[[1, 2, 4], 0, [0, 2, 1]] = True
    others = spikes.copy()
    others[2, 0, 2], others[3, 0, 0] = False, True
    first, second = (Recording({"<lif>": each}, {}, {}, backend="drawn") for each in (spikes, others))
    drawing = first.raster(second)
    drawing.save(tmp_path / "raster.svg")
    root = ElementTree.fromstring((tmp_path / "raster.svg").read_text())
    assert "<lif>" in "".join(root.itertext())
    (image,) = root.iter("{http://www.w3.org/2000/svg}image")
    content = base64.b64decode(image.attrib["href"].removeprefix("data:image/png;base64,"))
    width, height = struct.unpack(">II", content[16:24])
    assert content[:8] == b"\x89PNG\r\n\x1a\n" and width % 5 == 0 and height % 3 == 0
    raw = zlib.decompress(content[content.index(b"IDAT") + 4 :])
    cells = np.frombuffer(raw, np.uint8).reshape(height, 1 + width)[:: height // 3, 1 :: width // 5]
    assert (cells == (spikes & others)[:, 0].T + 2 * (spikes & ~others)[:, 0].T + 3 * (others & ~spikes)[:, 0].T).all()


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0]) and ticks(0, 7, whole=True) == [0, 2, 4, 6]
    assert ticks(0, 3, 10, whole=True) == [0, 1, 2, 3] and ticks(93.2, 94.1)[0] >= 93.2
    assert ticks(5, 5) == [5]


def test_nothing_needs_matplotlib() -> None:
    code = "import sys, snnfuse.report.drawing, snnfuse.diagnosis.pictures, snnfuse.report.curves, snnfuse.hardware.pictures\n"
    subprocess.run([sys.executable, "-c", code + "assert 'matplotlib' not in sys.modules"], check=True)
