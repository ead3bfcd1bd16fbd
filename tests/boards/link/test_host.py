"""The host link against a model of the board's end, over lines that are not to be trusted."""

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.boards.link.channel import Board, Channel, Faults
from tilewright.boards.link.exchange import ATTEMPTS
from tilewright.boards.link.frames import ESCAPE, FLAG, Deframer, encode_frame
from tilewright.boards.link.host import HostLink, LinkError
from tilewright.isa.registers import OFFSET

RUNS = 400 if os.environ.get("TILEWRIGHT_FUZZ") else 3
LINES = {
    "clean": Faults(),
    "flipped": Faults(flipped=0.01),
    "dropped": Faults(dropped=0.01),
    "doubled": Faults(doubled=0.01),
    "noise": Faults(invented=0.01),
    "everything": Faults(0.004, 0.004, 0.004, 0.004),
}


@pytest.mark.parametrize("kind", LINES)
def test_memory_and_registers_are_what_was_written_whatever_the_line_does(kind):
    for seed in range(RUNS):
        rng = random.Random(seed)
        started = []
        board = Board(wrote=lambda offset, word, to=started: to.append((offset, word)))
        channel = Channel(board, LINES[kind], seed)
        link = HostLink(channel, patience=0.0)
        expected = bytearray(board.memory)
        runs = []
        for _ in range(8):
            size = 4 * rng.randrange(1, 600)
            address = 4 * rng.randrange((len(expected) - size) // 4)
            data = rng.choice((rng.randbytes(size), bytes([FLAG, ESCAPE] * (size // 2))))
            link.write_memory(address, data)
            expected[address : address + size] = data
            word = rng.getrandbits(32)
            link.write_registers(PROGRAM=word, CONTROL=1)
            runs += [(OFFSET["PROGRAM"], word), (OFFSET["CONTROL"], 1)]
            assert link.read_registers("PROGRAM") == [word], f"seed {seed}"
            size = 4 * rng.randrange(1, 600)
            address = 4 * rng.randrange((len(expected) - size) // 4)
            found = link.read_memory(address, size)
            assert found == expected[address : address + size], f"seed {seed}"
        assert board.memory == expected, f"seed {seed}"
        assert started == runs, f"seed {seed}"  # each write of a register once, in order


def test_faults_are_seen():
    link = HostLink(Channel(Board(), LINES["everything"], 1), patience=0.0)
    link.write_memory(0, bytes(1 << 14))
    seen = link.statistics
    assert seen.timeouts + seen.out_of_order > 10
    assert seen.frames > seen.requests


def test_blocks_are_shorter_on_a_line_that_loses_many():
    sizes = {}
    for name, faults in (("clean", Faults()), ("bad", Faults(dropped=0.02))):
        channel = Channel(Board(), faults)
        link = HostLink(channel, patience=0.0)
        link.write_memory(0, bytes(1 << 15))
        sizes[name] = channel.sent
    assert sizes["clean"] < 1.1 * (1 << 15)
    assert sizes["bad"] < 40 * sizes["clean"]


@given(st.lists(st.binary(min_size=6, max_size=262), max_size=5), st.binary(max_size=50))
@settings(max_examples=200, deadline=None)
def test_frames_are_found_after_any_garbage(contents, garbage):
    found = Deframer().feed(garbage + bytes([FLAG]) + b"".join(map(encode_frame, contents)))
    assert found[-len(contents) :] == contents or not contents


@given(st.binary(min_size=6, max_size=262), st.data())
@settings(max_examples=300, deadline=None)
def test_a_frame_with_changed_bytes_is_dropped(content, data):
    frame = bytearray(encode_frame(content))
    for _ in range(data.draw(st.integers(1, 3))):
        frame[data.draw(st.integers(1, len(frame) - 2))] ^= data.draw(st.integers(1, 255))
    assert all(x == content for x in Deframer().feed(bytes(frame)))


@pytest.mark.parametrize("silent", [True, False])
def test_a_pulled_cable_is_an_error_and_the_board_goes_on_afterwards(silent):
    board = Board()
    link = HostLink(Channel(board, cut=2000, silent=silent), patience=0.0)
    match = "no answer after|the line is gone: the device is not there any more"
    with pytest.raises(LinkError, match=match):
        link.write_memory(0, bytes(range(256)) * 32)
    again = HostLink(Channel(board), patience=0.0)
    again.write_memory(0, b"\x55" * 4096)
    assert again.read_memory(0, 4096) == b"\x55" * 4096


def test_after_an_error_the_same_link_begins_anew():
    board = Board()
    channel = Channel(board, cut=3000, silent=True)
    link = HostLink(channel, patience=0.0)
    with pytest.raises(LinkError):
        link.write_memory(0, bytes(1 << 13))
    channel._cut = None
    link.write_memory(64, b"\xaa" * 512)
    assert link.read_memory(64, 512) == b"\xaa" * 512
    assert board.memory[64 : 64 + 512] == b"\xaa" * 512


def test_silent_line_and_missing_port_are_errors():
    class Silent:
        def write(self, data):
            return len(data)

        def read(self, size):
            return b""

    with pytest.raises(LinkError, match=f"no answer after {ATTEMPTS} attempts"):
        HostLink(Silent(), patience=0.0)
    with pytest.raises(LinkError, match="cannot open"):
        HostLink.open("/dev/no-such-port", 1_000_000)


def test_bytes_beyond_the_boards_memory_are_refused():
    link = HostLink(Channel(Board(memory_bytes=8192)))
    with pytest.raises(LinkError, match=r"8196 bytes of memory are needed; .* has 8192"):
        link.write_memory(8192, bytes(4))
