"""Programs on boards: a model of one, and the whole system of one in Verilator."""

import random

import numpy as np
import pytest

import tilewright as tw
from tests.boards.link.channel import Board, Channel, Faults
from tests.boards.test_system import small_layer
from tilewright.api.runs import run_isa
from tilewright.boards.link import exchange
from tilewright.boards.link.host import HostLink
from tilewright.device import Device, DeviceError
from tilewright.isa import ISA_VERSION, Unit
from tilewright.isa.registers import IDENTITY, OFFSET, Status
from tilewright.sim.errors import ExecutionError

CLEAN = Faults()


class ModelBoard(Board):
    """A board whose engine is the executor; it starts when CONTROL says so."""

    def __init__(self, program, *, status=Status.DONE, memory_bytes=1 << 20, **identity):
        super().__init__(memory_bytes, wrote=self.wrote)
        self.program, self.status, self.runs = program, status, []
        said = {
            "ID": IDENTITY,
            "VERSION": ISA_VERSION,
            "DIGEST": program.engine.digest,
            "CYCLES": 4711,
            **identity,
        }
        self._identity = {OFFSET[name]: value for name, value in said.items()}
        self.registers.update(self._identity)
        self.frames, self.reset_at, self.memory_stays = 0, None, True

    def feed(self, data):
        """Take a frame; before one of them, the board is reset."""
        if self.frames == self.reset_at:
            self.registers = dict(self._identity)
            if not self.memory_stays:
                self.memory[:] = np.random.default_rng(self.frames).bytes(len(self.memory))
            self._expected, self._session = 0, 0
        self.frames += 1
        return super().feed(data)

    def wrote(self, offset, word):
        if offset == OFFSET["INTERRUPT"]:
            self.registers[offset] = 0
        if offset != OFFSET["CONTROL"] or word != 1:
            return
        base = self.registers.get(OFFSET["BASE"], 0)
        self.runs.append(base)
        image = np.frombuffer(bytes(self.memory[base : base + self.program.image.size]), np.uint8)
        image, status = image.copy(), self.status
        if status is Status.DONE:
            try:
                run_isa(self.program, image, lambda share: None)
            except ExecutionError:
                status = Status.BAD_COMMAND
        self.memory[base : base + image.size] = image.tobytes()
        self.registers[OFFSET["STATUS"]] = status | Unit.STORE << 8 | 5 << 16
        self.registers[OFFSET["INTERRUPT"]] = 1


@pytest.fixture(scope="module")
def program():
    target = tw.Target.from_board("ulx3s-12f")
    return tw.compile_graph(small_layer(target.engine.multiplier_width)[0], target)


def connected(program, faults=CLEAN, **board):
    board = ModelBoard(program, **board)
    return board, Device(HostLink(Channel(board, faults, 5), patience=0.0), name="model")


def images(program, count):
    shape = program.graph.values[program.graph.inputs[0].output].shape
    return np.random.default_rng(3).integers(-128, 128, (count, *shape))


@pytest.mark.parametrize("faults", [Faults(), Faults(0.005, 0.005, 0.005, 0.005)])
@pytest.mark.parametrize("copies", [1, 2])
def test_outputs_are_golden_whatever_the_line_does(program, copies, faults):
    board, device = connected(program, faults)
    device.load(program, copies=copies)
    batch = images(program, 5)
    seen = []
    result = device.run(batch, progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(result.outputs[0], program.reference(batch)[0])
    assert seen == [(i + 1, 5) for i in range(5)]
    assert len(board.runs) == 5
    assert len(set(board.runs)) == copies
    assert result.cycles == 4711


@pytest.mark.parametrize("copies", [1, 2])
def test_a_run_computes_a_batch(program, copies):
    three = tw.compile_graph(program.graph, program.target, batch=3)
    board, device = connected(three)
    device.load(three, copies=copies)
    seven = images(three, 7)
    seen = []
    result = device.run(seven, progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(result.outputs[0], three.reference(seven)[0])
    assert seen == [(3, 7), (6, 7), (7, 7)]
    assert len(board.runs) == 3


#: Frames apart: all in the long run.
EACH = pytest.param(1, marks=pytest.mark.exhaustive)


@pytest.mark.parametrize("memory_stays", [True, False])
@pytest.mark.parametrize("step", [13, EACH])
def test_a_board_that_is_reset_at_any_time_gives_no_wrong_result(
    program, memory_stays, step, monkeypatch
):
    """It confirms what it does not do, until it and the host happen to count alike again."""
    expected = program.reference(images(program, 3))[0]

    def run(reset_at):
        # What is lost depends on the number that the session happens to begin with.
        monkeypatch.setattr(exchange.secrets, "randbits", random.Random(reset_at).getrandbits)
        board, device = connected(program)
        board.reset_at, board.memory_stays = reset_at, memory_stays
        device.load(program)
        for _ in range(2):
            result = device.run(images(program, 3))
            np.testing.assert_array_equal(result.outputs[0], expected, f"reset at {reset_at}")
        return board.frames

    refused = []
    for reset_at in range(1, run(None), step):
        try:
            run(reset_at)
        except tw.Error as error:
            refused.append(f"at {reset_at}: {error}")
    assert refused
    assert [said for said in refused if "load the program again" not in said] == []


def test_weights_stay_on_the_board(program):
    _, device = connected(program)
    device.load(program)
    device.run(images(program, 1))
    before = device.link.statistics.requests
    device.run(images(program, 1))
    assert device.link.statistics.requests - before < 40
    with pytest.raises(tw.Error, match=r"the board took 4711 cycles, \d+ were predicted"):
        device.verify(images(program, 1))


@pytest.mark.parametrize(
    ("board", "match"),
    [
        ({"ID": 0}, "model: there is no Tilewright engine"),
        ({"VERSION": 1}, "the engine takes commands of version 1"),
        ({"DIGEST": 1}, "another one than the program's: flash ulx3s-12f's bitstream, or compile"),
        ({"memory_bytes": 1024}, r"takes [\d,]+ bytes of memory, the board has 1,024"),
        ({"status": Status.READ_ERROR}, "stopped with READ_ERROR at store command 5: load"),
        ({"status": 75}, "STATUS holds 75, which no engine does"),
        ({"status": Status.IDLE}, "the engine stopped with IDLE"),
    ],
)
def test_a_board_that_is_not_the_programs_is_refused(program, board, match):
    _, device = connected(program, **board)

    def use():
        device.load(program)
        device.run(images(program, 1))

    with pytest.raises(DeviceError, match=match):
        use()


def test_without_a_program_nothing_runs(program):
    _, device = connected(program)
    with pytest.raises(DeviceError, match="load a program first"):
        device.run(images(program, 1))


@pytest.mark.parametrize(
    ("address", "match"),
    [
        ("usb:1", "a device is serial:PORT or sim:BOARD"),
        ("serial:", "a device is"),
        ("serial:/dev/no-such-port", "cannot open /dev/no-such-port"),
        ("sim:zynq", "there is no board 'zynq'"),
        (3, "connect: address must be str"),
    ],
)
def test_addresses_that_lead_nowhere_are_errors(address, match):
    with pytest.raises(tw.Error, match=match):
        tw.connect(address)


@pytest.mark.slow
def test_a_layer_takes_the_predicted_cycles_on_the_simulated_board(program):
    """Every command of it, behind the controller, the chip and the registers at its pins."""
    with tw.connect("sim:ulx3s-12f") as device:
        device.load(program)
        seen = device.verify(images(program, 3))
    assert seen.elements == 3 * 5 * 3 * 4
    assert seen.commands == sum(len(program.commands(unit)) for unit in Unit)
    assert seen.cycles == tw.estimate(program).cycles.value
