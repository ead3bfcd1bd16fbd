"""``tilewright estimate``."""

import csv
import json

import pytest

import tilewright as tw
from tests.cli.run import invoke, refused


def test_estimate_writes_json(program, tmp_path):
    path = tmp_path / "deep" / "estimate.json"
    table = tmp_path / "layers.csv"
    invoke("estimate", program, "--json", path, "--csv", table)
    record = json.loads(path.read_text())
    cycles = record["figures"]["cycles"]
    assert 0 < cycles["low"] == cycles["value"] == cycles["high"]
    (layer,) = csv.DictReader(table.read_text().splitlines())
    assert int(layer["cycles"]) == cycles["value"]
    parts = [float(value) for name, value in layer.items() if name.endswith(" uJ") and value]
    assert sum(parts) == pytest.approx(2 * record["figures"]["energy"]["value"])  # and their sum


def test_estimate_of_a_network_for_an_engine(net, quantized, tmp_path):
    path = tmp_path / "estimate.json"
    cycles = {}
    for rows in (4, 8):
        options = ("--set", f"rows={rows}", "--set", "cols=5", "--json", path)
        invoke("estimate", f"{net}:make", *options)
        cycles[rows] = json.loads(path.read_text())["figures"]["cycles"]["value"]
    assert cycles[8] < cycles[4]
    options = ("--memory", "200,5", "--json", path)
    invoke("estimate", quantized[0], *options)
    target = tw.Target.from_board("ulx3s-85f")
    program = tw.compile(tw.QuantizedModel.load(quantized[0]), None, target)
    fast = tw.estimate(program).cycles.value
    assert json.loads(path.read_text())["figures"]["cycles"]["value"] > fast


@pytest.mark.parametrize("option", [("--set", "rows=4"), ("--board", "ulx3s-85f")])
def test_a_program_has_an_engine_of_its_own(capsys, program, option):
    assert "is for an engine of its own" in refused(capsys, "estimate", program, *option)


def test_estimate_of_no_network(capsys):
    assert "or file.py:function, with a file that exists" in refused(capsys, "estimate", "absent")


def test_advice_and_groups_of_a_program(capsys, program):
    shown = invoke("estimate", program, "--advise", "--groups", tw.load(program).layers[0].name)
    assert "bus_width" in shown
    assert "best" in shown


def test_groups_of_no_layer_are_refused_before_anything_is_written(capsys, program, tmp_path):
    """The error came behind the tables, and files were there."""
    path = tmp_path / "estimate.json"
    found = refused(capsys, "estimate", program, "--groups", "nothing", "--json", path)
    assert "no convolution is named 'nothing'" in found
    assert not path.exists()
