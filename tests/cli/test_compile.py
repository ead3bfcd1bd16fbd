"""``tilewright compile``."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import tilewright as tw
from tests.cli.run import invoke, refused
from tests.cosim.test_rounded import NARROW, ROUNDED
from tilewright import target
from tilewright.boards import get_board
from tilewright.cli import app
from tilewright.cli.files import load_model


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


def test_unknown_board_lists_the_boards(net):
    with pytest.raises(tw.Error, match=r"no board 'arty'; there are .*ulx3s-12f, ulx3s-85f"):
        CliRunner().invoke(
            app, ["compile", f"{net}:make", "--board", "arty"], catch_exceptions=False
        )


def test_compile_takes_a_quantized_file(pair, quantized):
    model = tw.QuantizedModel.load(quantized[0])
    loaded = tw.Program.load(pair)
    assert (loaded.engine.rows, loaded.engine.cols) == (4, 4)
    assert loaded.target.board == "ulx3s-85f"
    expected = tw.compile(model, None, loaded.target)
    assert expected.graph.values == loaded.graph.values
    np.testing.assert_array_equal(expected.image, loaded.image)


def test_compile_for_an_engine_and_a_memory(net, tmp_path):
    engine, path = tmp_path / "engine.toml", tmp_path / "net.tw"
    engine.write_text("rows = 4\ncols = 3\n")
    output = invoke(
        *("compile", f"{net}:make", "-o", path, "--engine", engine),
        *("--memory", "IS42S16160G-7"),
    )
    assert "an engine of 4 x 3" in output
    expected = tw.Target(
        engine=tw.EngineConfig(rows=4, cols=3), memory=tw.SDRAM("IS42S16160G-7", 100.0)
    )
    assert tw.Program.load(path).target == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["absent.py:make"],
            "wrote, a quantized network in ONNX or TFLite, or file.py:function",
        ),
        (["NET:absent"], "has no function 'absent'"),
        (["NET:make", "--board", "arty"], "no board 'arty'; there are"),
        (["NET:make", "--set", "rows=3"], "rows must be a power of two"),
        (["NET:make", "--engine", "absent.toml"], "cannot read absent.toml"),
        (["NET:make", "--memory", "9"], "--memory 9 must be READ,WRITE"),
        (["NET:make", "--algorithm", "1=fast"], "1: its algorithms are"),
        (["NET:make", "-o", "/dev/null"], "cannot write /dev/null"),
        (["NET:only_a_model"], "must return (model, example_inputs)"),
        (["FLOAT:classifier"], "tilewright quantize"),
    ],
)
def test_compile_refuses_in_one_line(capsys, net, float_net, tmp_path, arguments, message):
    places = {"NET": str(net), "FLOAT": str(float_net)}
    where, *rest = arguments
    for name, path in places.items():
        where = where.replace(name, path)
    if "-o" not in rest:
        rest += ["-o", str(tmp_path / "net.tw")]
    assert message in refused(capsys, "compile", where, *rest)


def test_a_file_of_torch_save_is_not_run(capsys, tmp_path):
    class Hostile:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'run')!r}, 'w')",)

    torch.save(Hostile(), tmp_path / "q.pt")
    assert "no quantized network" in refused(capsys, "compile", tmp_path / "q.pt")
    assert not (tmp_path / "run").exists()
