"""The command line: what it prints, what it writes, how it fails."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import tilewright as tw
from tests.cosim.engines import ENGINES
from tests.cosim.test_rounded import NARROW, ROUNDED
from tilewright import target
from tilewright.boards import get_board
from tilewright.cli import app, main
from tilewright.cli.files import load_model
from tilewright.cli.simulate import parse_window

NET = """
import brevitas.nn as qnn
import torch
from brevitas.quant import (
    Int8ActPerTensorFixedPoint, Int8WeightPerTensorFixedPoint, Int32Bias,
    Uint8ActPerTensorFixedPoint,
)
from torch import nn


def make():
    torch.manual_seed(0)
    net = nn.Sequential(
        qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, return_quant_tensor=True),
        qnn.QuantConv2d(3, 5, 3, padding=1, weight_quant=Int8WeightPerTensorFixedPoint,
                        bias_quant=Int32Bias),
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, return_quant_tensor=True),
    )
    inputs = torch.randn(2, 3, 6, 6)
    net(inputs)
    return net.eval(), inputs


def only_a_model():
    return make()[0]


not_a_function = 3
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "net.py"
    path.write_text(NET)
    return path


@pytest.fixture(scope="module")
def program(net):
    path = net.parent / "net.tw"
    result = CliRunner().invoke(app, ["compile", f"{net}:make", "-o", str(path)])
    assert result.exit_code == 0, result.output
    assert "1 layers" in result.output
    return path


@pytest.fixture(scope="module")
def small(net):
    """Return the program of an engine that the suite builds anyway."""
    model, inputs = load_model(f"{net}:make")
    target = tw.Target(engine=ENGINES["4x4-bus64"])
    return tw.compile(model, inputs, target).save(net.parent / "small.tw")


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_commands_are_all_in_the_help():
    output = invoke("--help")
    for name in ("compile", "simulate", "verify", "verilog", "synth", "estimate"):
        assert name in output


@pytest.mark.parametrize(
    "command", ["compile", "simulate", "verify", "verilog", "synth", "estimate"]
)
def test_every_option_has_a_help_text(command):
    import typer

    group = typer.main.get_command(app)
    parameters = group.commands[command].params
    assert group.commands[command].help
    for parameter in parameters:
        assert getattr(parameter, "help", None), f"{command}: {parameter.name}"


def test_simulate_writes_what_the_api_returns(program, tmp_path):
    inputs = np.random.default_rng(1).normal(size=(2, 3, 6, 6)).astype(np.float32)
    np.save(tmp_path / "in.npy", inputs)
    outputs, figures = tmp_path / "out.npz", tmp_path / "figures.json"
    text = invoke(
        *("simulate", program, "--inputs", tmp_path / "in.npy"),
        *("--output", outputs, "--json", figures),
    )
    expected = tw.simulate(tw.Program.load(program), inputs, backend="golden").outputs
    with np.load(outputs) as written:
        for name, array in zip(written.files, expected, strict=True):
            np.testing.assert_array_equal(written[name], array)
    record = json.loads(figures.read_text())
    assert record["backend"] == "isa"
    assert f"{record['cycles']:,}" in text
    assert sum(layer["macs"] for layer in record["layers"]) == 5 * 3 * 9 * 36


def test_simulate_without_inputs_and_cycles(program):
    assert "does not count cycles" in invoke("simulate", program, "--backend", "golden")


def test_compile_shows_the_schedule(net, tmp_path):
    path = tmp_path / "schedule.json"
    output = invoke(
        *("compile", f"{net}:make", "-o", tmp_path / "net.tw", "--show", "schedule"),
        *("--objective", "traffic", "--json", path),
    )
    (group,) = json.loads(path.read_text())["schedule"]
    (layer,) = group["layers"]
    assert f"{layer['name']}: {group['strips']} strip" in output
    assert f"{layer['reads'][0]} -> {layer['writes']}" in output
    loaded = tw.Program.load(tmp_path / "net.tw")
    assert [asdict(entry) for entry in loaded.schedule] == tuples(group)


@pytest.fixture
def board_with_tiles(monkeypatch):
    """Let a board have an engine that computes convolutions in tiles."""
    board = get_board("ulx3s-85f")
    engine = replace(board.engine, data_width=13, kernel_width=13, partial_depth=512)
    changed = replace(board, engine=engine)
    monkeypatch.setattr(target, "get_board", lambda name: changed)


@pytest.mark.parametrize(
    ("options", "algorithm"),
    [
        (["1=F(4x1,3x3)"], "F(4x1,3x3)"),
        (["F(2x2,3x3)"], "F(2x2,3x3)"),
        (["direct"], "direct"),
        (["F(2x2,3x3)", "1=direct"], "direct"),
    ],
)
@pytest.mark.usefixtures("board_with_tiles")
def test_compile_takes_the_algorithm(net, tmp_path, options, algorithm):
    path = tmp_path / "schedule.json"
    arguments = ("compile", f"{net}:make", "-o", tmp_path / "net.tw", "--json", path)
    invoke(*arguments, *(word for option in options for word in ("--algorithm", option)))
    ((group,),) = json.loads(path.read_text()).values()
    assert [layer["algorithm"] for layer in group["layers"]] == [algorithm]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["2=direct"], r"for '2', which is no convolution's name; there are 1"),
        (
            ["1=F(9x9,3x3)"],
            r"1: its algorithms are auto, direct, F\(4x2.*, not 'F\(9x9",
        ),
        (["1="], "must be LAYER=ALGORITHM"),
        (["=direct"], "must be LAYER=ALGORITHM"),
        (["1=auto", "1=direct"], "1 already has an algorithm"),
        (["auto", "direct"], "all other layers already has an algorithm"),
        (["1=F(4x2,3x3)"], "cannot be taken: the engine has no partial_depth"),
    ],
)
def test_bad_algorithms(net, tmp_path, options, message):
    arguments = ["compile", f"{net}:make", "-o", str(tmp_path / "net.tw")]
    for option in options:
        arguments += ["--algorithm", option]
    with pytest.raises(tw.Error, match=message):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


def tuples(group):
    """Return the list of a group as dataclasses hold it: tuples where JSON has lists."""
    layers = tuple({**layer, "reads": tuple(layer["reads"])} for layer in group["layers"])
    ends = {name: tuple(group[name]) for name in ("loads", "stores")}
    return [{**group, **ends, "layers": layers}]


def test_simulate_writes_a_timeline(program, tmp_path):
    path = tmp_path / "timeline.json"
    invoke("simulate", program, "--timeline", path)
    events = json.loads(path.read_text())["traceEvents"]
    tracks = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    assert sorted(tracks.values()) == ["compute", "load", "store"]
    slices = [e for e in events if e["ph"] == "X"]
    result = tw.simulate(tw.Program.load(program), np.zeros((1, 3, 6, 6), int))
    assert len(slices) == sum(map(len, result.starts.values()))
    assert max(e["args"]["done"] for e in slices) + 1 == result.cycles
    for track in tracks:
        ends = 0
        for event in (e for e in slices if e["tid"] == track):
            assert event["ts"] >= ends
            assert event["dur"] > 0
            ends = event["ts"] + event["dur"]


def test_compile_prints_what_rounded_kernels_change(net, tmp_path, monkeypatch):
    monkeypatch.setattr(tw.Target, "from_board", lambda board: tw.Target(engine=NARROW))
    path, figures = tmp_path / "net.tw", tmp_path / "net.json"
    command = ("compile", f"{net}:make", "-o", path, "--show", "schedule", "--json", figures)
    assert "rounded" not in invoke(*command)
    text = " ".join(invoke(*command, "--algorithm", f"1={ROUNDED}").split())
    loaded = tw.Program.load(path)
    error = loaded.rounded_layers["1"]
    assert f"as {ROUNDED}, weights" in text
    assert text.count(str(error)) == 2
    assert f"1: kernels rounded, {error}" in text
    assert error.mean > 0
    (group,) = json.loads(figures.read_text())["schedule"]
    assert group["layers"][0]["rounding"] == asdict(error)
    # Measured on the example inputs, quantized as the network does it.
    model, inputs = load_model(f"{net}:make")
    exact, rounded = (
        tw.compile(model, inputs, tw.Target(engine=NARROW), algorithms=algorithms).reference(inputs)
        for algorithms in ({"1": "direct"}, {"1": ROUNDED})
    )
    assert error.largest == np.abs(exact[0] - rounded[0]).max()
    assert error.mean == pytest.approx(np.abs(exact[0] - rounded[0]).mean())


def test_simulate_in_rtl_with_checkpoint_and_waves(small, tmp_path):
    waves = tmp_path / "waves.fst"
    data = tmp_path / "in.npy"
    np.save(data, np.random.default_rng(2).integers(-128, 128, (2, 3, 6, 6)))
    arguments = (
        *("simulate", small, "--backend", "rtl", "--inputs", data),
        *("--checkpoint", tmp_path / "state", "--output", tmp_path / "out.npz"),
    )
    first = invoke(*arguments, "--waves", f"{waves}:100:200")
    assert waves.stat().st_size > 0
    # Finished images are not run again, and give the same.
    assert len(list((tmp_path / "state").iterdir())) == 2
    assert invoke(*arguments) == first
    expected = tw.simulate(tw.Program.load(small), np.load(data), backend="golden").outputs
    with np.load(tmp_path / "out.npz") as written:
        for name, array in zip(written.files, expected, strict=True):
            np.testing.assert_array_equal(written[name], array)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ("x.fst", "must be FILE:FIRST:LAST"),
        ("x.fst:3:2", "FIRST <= LAST"),
        ("x.fst:a:2", "must be FILE:FIRST:LAST"),
        ("x.txt:1:2", r"must end in .fst or .vcd"),
    ],
)
def test_a_window_that_is_none(window, message):
    with pytest.raises(tw.Error, match=message):
        parse_window(window)


def test_only_rtl_has_waves(program):
    with pytest.raises(tw.Error, match="has no checkpoint and no waveforms"):
        tw.simulate(tw.Program.load(program), np.zeros((1, 3, 6, 6), int), waves=("x.fst", 0, 1))


def test_estimate_writes_json(program, tmp_path):
    path = tmp_path / "deep" / "estimate.json"
    invoke("estimate", program, "--json", path)
    figures = json.loads(path.read_text())
    assert figures["cycles"]["value"] > 0
    assert figures["cycles"]["relative_error"] == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.py:make", "must be file.py:function, with a file that exists"),
        ("net.py", "must be file.py:function, with a file that exists"),
        ("net.py:absent", "has no function 'absent'"),
        ("net.py:not_a_function", "has no function 'not_a_function'"),
        ("net.py:only_a_model", r"must return \(model, example_inputs\)"),
    ],
)
def test_bad_model_names(net, name, message):
    with pytest.raises(tw.Error, match=message):
        load_model(str(net.parent / name))


def test_unknown_board_lists_the_boards(net):
    with pytest.raises(tw.Error, match=r"no board 'arty'; there are .*ulx3s-12f, ulx3s-85f"):
        CliRunner().invoke(
            app, ["compile", f"{net}:make", "--board", "arty"], catch_exceptions=False
        )


def test_inputs_that_are_not_a_file(program, tmp_path):
    (tmp_path / "bad.npy").write_text("no array")
    for path in (tmp_path / "bad.npy", tmp_path / "absent.npy"):
        with pytest.raises(tw.Error, match=r"is not a \.npy file"):
            CliRunner().invoke(
                app, ["simulate", str(program), "--inputs", str(path)], catch_exceptions=False
            )


def test_errors_are_one_line_and_status_one(capsys):
    def fail():
        raise tw.Error("the [red] board is missing")

    with pytest.raises(SystemExit) as stop:
        main(fail)
    assert stop.value.code == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["error: the [red] board is missing"]
    assert captured.out == ""


def test_a_file_in_the_way_is_one_line_too(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        main(lambda: (tmp_path / "file" / "results").mkdir(parents=True))
    assert stop.value.code == 1
    text = "".join(capsys.readouterr().err.split())  # rich folds long lines
    assert text == f"error:{tmp_path / 'file' / 'results'}:Notadirectory"
    with pytest.raises(OSError, match="ours"):
        main(lambda: (_ for _ in ()).throw(OSError("ours")))


def test_the_installed_command_fails_without_a_traceback(tmp_path):
    command = [Path(sys.executable).parent / "tilewright", "simulate", tmp_path / "absent.tw"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "absent.tw" in result.stderr.replace("\n", "")
