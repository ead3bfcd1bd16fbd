"""One allocator a buffer: what takes turns, what stays, and what is there already."""

from tilewright.compiler.codegen.buffers.activations import ActivationBuffer
from tilewright.compiler.codegen.buffers.offsets import OffsetBuffer
from tilewright.compiler.codegen.buffers.results import ResultBuffer
from tilewright.compiler.codegen.buffers.tables import TableBuffer
from tilewright.compiler.codegen.buffers.weights import WeightBuffer
from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.array.windows import Operand
from tilewright.compiler.schedule.plan.columns import Strip


def test_groups_take_turns_and_none_goes_round_the_end():
    buffer = ActivationBuffer(100, {"x": 1})
    bases = []
    for _ in range(3):
        buffer.place({"x": Ring(base=0, first=0, groups=1, rows=5, row=8)}, Strip({}, {}))
        bases.append(buffer.rings["x"].base)
    assert bases == [0, 40, 0]


def test_an_operand_of_two_values_is_one_ring():
    buffer = ActivationBuffer(100, {"a": 2, "b": 3})
    rings = {
        "a": Ring(base=0, first=1, groups=1, rows=2, row=5),
        "b": Ring(base=10, first=0, groups=3, rows=2, row=5),
    }
    buffer.place(rings, Strip({}, {}))
    (ring,) = buffer.operands([Operand(("a", "b"))])
    # Counted over the operand, group 1 is the first on chip, at word 0.
    assert ring.base + 1 * ring.words == 0
    assert ring.groups == 5


def test_results_go_round():
    buffer = ResultBuffer(10)
    assert [buffer.place(4) for _ in range(4)] == [0, 4, 8, 2]


def test_weights_that_stay_leave_those_in_turns_their_room():
    buffer = WeightBuffer(100)
    buffer.begin(30)
    assert [buffer.place(20, kept=False) for _ in range(2)] == [0, 0]
    assert [buffer.place(20, kept=True) for _ in range(2)] == [30, 50]
    buffer.begin(0)
    assert [buffer.place(20, kept=False) for _ in range(2)] == [70, 90]
    assert buffer.place(5, kept=True) == 10


def test_the_table_that_was_used_longest_ago_goes():
    buffer = TableBuffer(2)
    assert [buffer.place(name) for name in (b"a", b"b", b"a", b"c", b"b")] == [
        (0, False), (1, False), (0, True), (1, False), (0, False),
    ]  # fmt: skip


def test_rows_of_offsets_that_are_held_are_not_loaded_again():
    buffer = OffsetBuffer(16)
    assert buffer.place(("o", 0, 1), 6, None) == (0, False)
    assert buffer.place(("o", 1, 2), 6, None) == (6, False)
    assert buffer.place(("o", 0, 1), 6, None) == (0, True)
    assert buffer.place(("o", 2, 3), 6, None) == (0, False)  # in the place of the first
    assert buffer.place(("o", 0, 1), 6, None) == (6, False)


def test_masks_have_the_other_half():
    buffer = OffsetBuffer(16)
    assert buffer.place(("o", 0, 1), 8, 0) == (0, False)
    assert buffer.place(("m", 0, 1), 8, 1) == (8, False)
    assert buffer.place(("o", 0, 1), 8, 0) == (0, True)
