"""The host link against a model of the board's end."""

import numpy as np
import pytest

from tilewright.boards.board import MEMORY_BYTES
from tilewright.boards.link.host import HostLink, LinkError
from tilewright.isa.registers import OFFSET, Status


class Board:
    """Answers as the bridge does; a started engine inverts the first word and stops."""

    def __init__(self, status=Status.DONE):
        self.memory, self.registers, self.answer = {}, {}, b""
        self.status = status

    def write(self, data):
        kind, address = data[:1], int.from_bytes(data[1:5], "little")
        store = self.registers if kind in b"RW" else self.memory
        if kind in b"Ww":
            store[address] = int.from_bytes(data[5:9], "little")
            self.answer += b"K"
            if kind == b"W" and address == OFFSET["CONTROL"]:
                self.memory[0] ^= 0xFFFFFFFF
                self.registers[OFFSET["STATUS"]] = int(self.status)
        else:
            self.answer += store.get(address, 0).to_bytes(4, "little")

    def read(self, size):
        result, self.answer = self.answer[:size], self.answer[size:]
        return result


def test_run_moves_memory_there_and_back():
    image = np.arange(16, dtype=np.uint8)
    after = HostLink(Board()).run(image, 0, 1)
    np.testing.assert_array_equal(after[:4], 255 - image[:4])
    np.testing.assert_array_equal(after[4:], image[4:])


def test_engine_error_is_named():
    with pytest.raises(LinkError, match="READ_ERROR"):
        HostLink(Board(Status.READ_ERROR)).run(np.zeros(8, np.uint8), 0, 1)


def test_program_larger_than_the_memory_is_refused():
    image = np.zeros(MEMORY_BYTES + 4, np.uint8)
    with pytest.raises(LinkError, match="8196 bytes, the board's memory has 8192"):
        HostLink(Board()).run(image, 0, 1)


def test_silent_line_and_missing_port_are_errors():
    class Silent(Board):
        def read(self, size):
            return b""

    with pytest.raises(LinkError, match="0 of 4 bytes"):
        HostLink(Silent()).read(b"R", 0)
    with pytest.raises(LinkError, match="cannot open"):
        HostLink.open("/dev/no-such-port")


def test_a_status_that_no_engine_has_is_an_error():
    with pytest.raises(LinkError, match="STATUS register holds 75, which no engine does"):
        HostLink(Board(75)).run(np.zeros(8, np.uint8), 0, 1)
