"""``tilewright run``: the command around a device."""

import json

import numpy as np
import pytest

import tilewright as tw
from tests.boards.link.channel import Channel
from tests.cli.run import invoke, refused
from tests.device.test_device import ModelBoard
from tilewright.boards.link.host import HostLink
from tilewright.device import Device


@pytest.fixture
def connected(small, monkeypatch):
    """A board that has the program's engine, at any address."""
    program = tw.Program.load(small)
    board = ModelBoard(program)

    def connect(address):
        return Device(HostLink(Channel(board), patience=0.0), name=address)

    monkeypatch.setattr(tw, "connect", connect)
    return program


def test_run_gives_what_golden_gives(small, connected, tmp_path):
    images = np.random.default_rng(0).integers(-128, 128, (3, 3, 6, 6))
    np.save(tmp_path / "in.npy", images)
    out, figures = tmp_path / "out.npz", tmp_path / "run.json"
    said = invoke(
        *("run", small, "--device", "model", "--inputs", tmp_path / "in.npy", "-o", out),
        *("--verify", "--json", figures),
    )
    expected = connected.reference(images)[0]
    with np.load(out) as found:
        np.testing.assert_array_equal(found["output"], expected)
    assert f"device == golden: {expected.size} output elements" in said
    assert json.loads(figures.read_text())["verified_elements"] == expected.size


def test_run_refuses_addresses_that_are_none(capsys, small):
    message = refused(capsys, "run", small, "--device", "usb")
    assert message.startswith("a device is serial:PORT or sim:BOARD")
