"""Tables of docs/ are what the figures give, and the cheap ones are what the code gives now."""

import re

import numpy as np
import pytest

import tilewright as tw
from benchmarks import array, deformable, docs, networks, sampling

#: What takes seconds: of single layers, and of networks with the file of their engine.
LAYERS = ("1x1 s1 1280->1000 1x1", "3x3 d2 64->64 28x28", "dw 3x3 s2 96 56x56")
NETWORKS = {
    "networks.json": "ds_cnn",
    "networks_w4.json": "ds_cnn",
    "networks_winograd.json": "espcn",
    "networks_winograd_16.json": "espcn",
}
QUICK = ("networks.json", "networks_w4.json")


@pytest.fixture(scope="module")
def pages():
    return docs.pages()


@pytest.mark.parametrize("name", [*docs.PAGES, *docs.TABLES])
def test_tables_are_what_the_figures_give(pages, name):
    path = docs.DOCS / name
    assert pages[path] == path.read_text(), "run python -m benchmarks.docs"


def test_every_page_that_says_so_is_generated():
    """Whatever names a benchmark as its writer, or has marks."""
    told = re.compile(r"^Written by `(python -m )?benchmarks|<!-- table ", re.MULTILINE)
    found = {p.name for p in docs.DOCS.glob("*.md") if told.search(p.read_text())}
    assert found == {name for name in (*docs.PAGES, *docs.TABLES) if name.endswith(".md")}


def test_other_marks_are_refused():
    with pytest.raises(tw.Error, match="marks for"):
        docs.with_tables("<!-- table a: python -m benchmarks.docs -->\n<!-- end -->\n", {})


def test_what_is_between_marks_is_replaced():
    text = "x\n<!-- table a: python -m benchmarks.docs -->\n| old |\n| 1 |\n<!-- end -->\ny\n"
    assert docs.with_tables(text, {"a": lambda: "| new |\n"}) == text.replace(
        "| old |\n| 1 |\n", "| new |\n"
    )


@pytest.mark.parametrize("name", LAYERS)
def test_layers_take_the_cycles_that_the_table_has(name):
    figures = docs.figures("array.json")
    (record,) = (r for r in figures["layers"] if r["name"] == name)
    (layer,) = (layer for layer in array.SUITE if layer.name == name)
    target = tw.Target(engine=tw.EngineConfig(**figures["engine"]), memory=tw.MemoryTiming(20, 5))
    graph = array.graph_of(layer, np.random.default_rng(0))
    got = array.measure(layer, graph, tw.compile_graph(graph, target), rtl=False)
    for key in ("macs", "cycles", "floor_cycles", "bus_floor_cycles", "stalls"):
        assert got[key] == record[key], key


@pytest.mark.parametrize("offsets", [0, 6], ids=lambda i: deformable.VARIANTS[i].name)
def test_deformable_layers_take_the_cycles_that_the_table_has(offsets):
    layer, variant = deformable.LAYERS[1], deformable.VARIANTS[offsets]
    got = deformable.measure(layer, variant, rtl=False)
    known = docs.figures("deformable.json")["layers"]
    (record,) = (
        r for r in known if (r["name"], r["offsets"]["name"]) == (layer.name, variant.name)
    )
    for key in ("samples", "cycles", "bytes"):
        assert got[key] == record[key], key


@pytest.mark.parametrize(
    "file",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.exhaustive) for n in NETWORKS],
)
def test_networks_take_the_cycles_and_bytes_that_the_table_has(file):
    """docs/networks_winograd.md was older than the code."""
    figures = docs.figures(file)
    config = tw.EngineConfig(**figures["engine"])
    (record,) = (r for r in figures["networks"] if r["name"] == NETWORKS[file])
    graph, _ = networks.quantized(NETWORKS[file], config.weight_bits)
    target = tw.Target(engine=config, memory=tw.MemoryTiming(20, 5))
    _, got = networks.measure(NETWORKS[file], graph, target)
    for key in ("macs", "cycles", "memory_bytes", "compulsory_bytes", "tiles"):
        assert got[key] == record[key], key


def test_the_readme_has_the_figures_of_the_tables():
    def utilization(file, name):
        records = docs.figures(file)["networks"]
        return next(r["utilization"] for r in records if r["name"] == name)

    text = " ".join((docs.ROOT / "README.md").read_text().split())
    resnet, mobilenet = (utilization("networks.json", n) for n in ("resnet18", "mobilenet_v2"))
    assert f"ResNet-18 keeps {100 * resnet:.0f} % of the multipliers busy" in text
    assert f"MobileNetV2 {100 * mobilenet:.0f} %." in text
    tiles = utilization("networks_winograd.json", "resnet18")
    assert f"ResNet-18 does {tiles:.1f} MACs per multiplier and cycle" in text


def test_samples_have_the_errors_that_the_table_has():
    (record,) = (
        r
        for r in docs.figures("sampling.json")
        if (r["image"], r["masked"], r["fraction_bits"]) == ("smooth", False, 4)
    )
    for key, value in sampling.measure("smooth", 4, False, 0).items():
        assert value == pytest.approx(record[key], rel=1e-6), key
