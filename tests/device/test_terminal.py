"""Serial ports as they are: the driver's own, with a board behind a pseudo-terminal."""

import errno
import os

import numpy as np
import pytest
from serial import SerialException

import tilewright as tw
from tests.boards.link.channel import Board, Channel
from tests.device.test_device import ModelBoard, images, program
from tilewright.api.simulated import simulated_board
from tilewright.boards import get_board
from tilewright.boards.link import host
from tilewright.boards.link.host import HostLink, LinkError
from tilewright.device.terminal import Terminal

__all__ = ["program"]  # a fixture


def test_a_program_runs_over_a_serial_port(program):
    with Terminal(Channel(ModelBoard(program))) as terminal:
        with tw.connect(f"serial:{terminal.path}") as device:
            device.load(program)
            result = device.run(images(program, 3))
    np.testing.assert_array_equal(result.outputs[0], program.reference(images(program, 3))[0])


def test_a_port_that_is_in_use_is_refused():
    with Terminal(Channel(Board())) as terminal:
        link = HostLink.open(terminal.path, 1_000_000)
        with pytest.raises(LinkError, match=r"another program uses it: wait for it, or end it"):
            HostLink.open(terminal.path, 1_000_000)
        link.close()


def test_a_cable_that_is_pulled_says_what_to_do():
    terminal = Terminal(Channel(Board()))
    link = HostLink.open(terminal.path, 1_000_000)
    link.write_memory(0, bytes(64))
    terminal.close()
    with pytest.raises(LinkError, match=r"the line is gone: .*: plug the board in, connect and"):
        link.write_memory(0, bytes(64))
    link.close()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SerialException(errno.EACCES, "could not open"), "permission denied: sudo usermod -aG"),
        (SerialException(errno.ENOENT, "could not open"), "there is no such port"),
        (SerialException(errno.EBUSY, "could not open"), "another program uses it"),
        (SerialException("Could not configure port: (25, ...)"), "it is no serial port"),
        (ValueError("Not a valid baudrate: 0"), "Not a valid baudrate: 0"),
    ],
)
def test_a_port_that_does_not_open_says_what_to_do(monkeypatch, error, said):
    def serial(*arguments, **options):
        raise error

    monkeypatch.setattr(host.serial, "Serial", serial)
    with pytest.raises(LinkError, match=said):
        HostLink.open("/dev/ttyUSB0", 1_000_000)


def test_a_file_is_no_port(tmp_path):
    (tmp_path / "port").write_text("")
    with pytest.raises(LinkError, match="it is no serial port"):
        HostLink.open(os.fspath(tmp_path / "port"), 1_000_000)


@pytest.mark.exhaustive
def test_a_layer_runs_on_the_simulated_board_behind_a_serial_port(program):
    board = simulated_board(get_board("ulx3s-12f"), timeout_cycles=1000)
    with Terminal(board) as terminal, tw.connect(f"serial:{terminal.path}") as device:
        device.load(program)
        seen = device.verify(images(program, 2))
    assert seen.elements == 2 * 5 * 3 * 4
    assert seen.cycles == tw.estimate(program).cycles.value
