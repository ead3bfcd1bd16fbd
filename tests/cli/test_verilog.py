"""``tilewright verilog`` and ``synth``: for which engine."""

import pytest

import tilewright as tw
from tests.cli.run import invoke, refused
from tilewright.hdl.verilog import engine_verilog


def test_verilog_of_a_programs_own_engine(small, tmp_path):
    output = invoke("verilog", small, "-o", tmp_path)
    for path in tmp_path.iterdir():
        assert path.name in output
    assert len(list(tmp_path.iterdir())) == 5
    assert (tmp_path / "tilewright_engine.v").read_text() == engine_verilog(
        tw.Program.load(small).engine
    )


@pytest.mark.parametrize("command", ["verilog", "synth"])
def test_options_choose_the_target(monkeypatch, small, tmp_path, command):
    seen = []

    def stop(target, folder, **options):
        seen.append(target)
        raise tw.Error(f"{folder}")

    verb = {"verilog": "write_integration", "synth": "synthesize"}[command]
    monkeypatch.setattr(tw, verb, stop)
    file = tmp_path / "engine.toml"
    file.write_text("rows = 2\ncols = 3\n")
    with pytest.raises(AssertionError, match=str(tmp_path)):
        invoke(command, "-o", tmp_path, "--engine", file, "--set", "cols=5")
    with pytest.raises(AssertionError, match="build"):
        invoke(command, small)
    with pytest.raises(AssertionError, match="build"):
        invoke(command, "--board", "ulx3s-12f")
    expected = tw.Target(engine=tw.EngineConfig(rows=2, cols=5))
    assert seen == [
        expected,
        tw.Program.load(small).target,
        tw.Target.from_board("ulx3s-12f"),
    ]


@pytest.mark.parametrize("command", ["verilog", "synth"])
def test_a_program_and_options_contradict(capsys, small, command):
    assert "is for an engine of its own" in refused(capsys, command, small, "--set", "rows=4")


def test_a_folder_is_no_program(capsys, tmp_path):
    assert "not a regular file" in refused(capsys, "verilog", tmp_path)


def test_only_a_board_is_placed_and_routed(capsys, tmp_path):
    file = tmp_path / "engine.toml"
    file.write_text("rows = 2\ncols = 3\n")
    options = ("--engine", file, "--place-and-route", "-o", tmp_path)
    assert "place and route needs a board" in refused(capsys, "synth", *options)
