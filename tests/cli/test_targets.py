"""The engine, board and memory that options choose."""

from dataclasses import replace

import pytest

import tilewright as tw
from tilewright.cli.targets import chosen_target, parse_memory, read_engine


def test_by_default_it_is_the_boards_engine():
    board = tw.Target.from_board("ulx3s-85f")
    assert chosen_target(None, None, None) == board
    assert chosen_target("ulx3s-12f", None, []) == tw.Target.from_board("ulx3s-12f")
    engine = replace(board.engine, rows=8, cols=5, maximum=False, requantizers=None)
    settings = ["rows=8", "cols = 5", "maximum=false", "requantizers=none"]
    assert chosen_target(None, None, settings) == replace(board, engine=engine)


def test_an_engine_from_a_file(tmp_path):
    path = tmp_path / "engine.toml"
    path.write_text('# small\nrows = 2\ncols = 3\nprefetch = false\ndsp = "ecp5"\n')
    engine = tw.EngineConfig(rows=2, cols=3, prefetch=False, dsp="ecp5")
    assert chosen_target(None, path, None) == tw.Target(engine=engine)
    on_board = replace(tw.Target.from_board("ulx3s-12f"), engine=engine)
    assert chosen_target("ulx3s-12f", path, None) == on_board


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row = 8", "engine.toml: an engine has no parameter 'row'; rows?"),
        ("[engine]\nrows = 8", "engine.toml: an engine has no parameter 'engine'"),
        ("rows = 8.0", "engine.toml: EngineConfig: rows must be int"),
        ("rows = 7", "engine.toml: rows must be a power of two"),
        ("rows: 8", "engine.toml is not a TOML file"),
        ('dsp = "gowin9"', "gowin9"),
    ],
)
def test_a_wrong_file_is_named_with_the_parameter(tmp_path, text, message):
    path = tmp_path / "engine.toml"
    path.write_text(text)
    with pytest.raises(tw.Error) as error:
        chosen_target(None, path, None)
    assert message in str(error.value)
    with pytest.raises(tw.Error, match="not a regular file"):
        read_engine("/dev/zero")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["rows"], "--set rows must be NAME=VALUE"),
        (["cool=3"], "--set cool=3: an engine has no parameter 'cool'"),
        (["rows=8", "rows=4"], "--set rows=4: rows is set twice"),
        (["rows=x"], "--set rows=x: rows must be a whole number"),
        (["counters=1"], "--set counters=1: counters must be true or false"),
        (["rows=6"], "--set rows=6: rows must be a power of two"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(tw.Error) as error:
        chosen_target(None, None, settings)
    assert message in str(error.value)


def test_memories():
    assert parse_memory("40,8", 100.0) == tw.MemoryTiming(40, 8)
    assert parse_memory("IS42S16160G-7", 100.0) == tw.SDRAM("IS42S16160G-7", 100.0)
    target = chosen_target("ulx3s-85f", None, None, "IS42S16160G-7")
    assert target.memory == tw.SDRAM("IS42S16160G-7", target.clock_mhz)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("40", "must be READ,WRITE"),
        ("a,b", "must be READ,WRITE"),
        ("0,1", "read_latency must be in 1.."),
        ("DDR9", "chip must be one of .*IS42S16160G-7"),
    ],
)
def test_a_memory_that_is_none(text, message):
    with pytest.raises(tw.Error, match=message):
        parse_memory(text, 100.0)
