"""``tilewright explore`` and ``tilewright report``."""

import tilewright as tw
from tests.cli.run import invoke, refused
from tests.compiler.importers.onnx.build import save
from tests.compiler.importers.onnx.test_on_host import SHAPE, between, node


def test_a_search_and_a_page_about_it(quantized, program, tmp_path):
    found, page = tmp_path / "found.json", tmp_path / "page.html"
    storage = ("--storage", tmp_path / "search.db")
    options = ("--board", "ulx3s-12f", "--objectives", "latency,area", *storage)
    invoke("explore", quantized[0], *options, "--evaluations", "1")
    invoke("explore", quantized[0], *options, "--evaluations", "2", "--json", found)
    searched = tw.Exploration.load(found)
    assert len(searched.points) + searched.refused == 2
    assert searched.points[0].board
    invoke("report", program, "--search", found, "-o", page)
    text = page.read_text()
    assert "front-latency" in text
    assert searched.front[0].name in text


def test_values_that_parameters_may_have(capsys, quantized, tmp_path):
    found = tmp_path / "found.json"
    command = ("explore", quantized[0], "--board", "ulx3s-12f", "--evaluations", "3")
    small = ("--vary", "cols=2,3", "--vary", "shared_words=true")
    layers = ("--vary", "conv:algorithm=auto,direct,F(2x2,3x3)")
    invoke(*command, *small, *layers, "--json", found)
    choices = [point.choice for point in tw.Exploration.load(found).points]
    assert {choice.engine.shared_words for choice in choices} == {True}
    assert {choice.engine.cols for choice in choices} <= {2, 3}
    assert {tuple(choice.algorithms) for choice in choices} == {("*", "conv")}
    for wrong, match in (
        ("cols=a", "values of cols are integers"),
        ("shared_words=1", "values of shared_words are true or false"),
        ("colums=3", "'colums=3' must be NAME=VALUE,VALUE of rows, cols"),
        ("conv9:algorithm=auto", "algorithms names 'conv9', which is no convolution; there are"),
        ("conv:algorithm=F(2x2,3x3) rounded", "changes results: compile with it"),
        ("objective=speed", "objective must be of time, traffic, energy, not speed"),
        ("group_channels=64", "can have groups of 64 channels"),
        ("rows=3", "no engine of the space fits ulx3s-12f; the last one: rows must be"),
    ):
        assert match in refused(capsys, *command, "--vary", wrong)


def test_two_programs_of_one_name_and_other_files_are_refused(capsys, program, tmp_path):
    page = tmp_path / "page.html"
    assert "two programs of the name" in refused(capsys, "report", program, program, "-o", page)
    found = refused(capsys, "report", program, "--search", program, "-o", page)
    assert "is not what `explore` writes" in found
    assert not page.exists()


def test_a_network_with_a_part_for_the_host_in_its_middle_is_refused(capsys, tmp_path):
    nodes, constants = between([node("LRN", "r", size=3)])
    text = refused(capsys, "explore", save(tmp_path, nodes, SHAPE, constants))
    assert "lrn.m: a part for the host between parts for the engine" in text
