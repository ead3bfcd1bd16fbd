"""Lists of commands that contradict themselves are refused."""

import pytest

from tilewright.compiler.codegen.recorder import Entry
from tilewright.compiler.codegen.verify import verify_commands
from tilewright.compiler.schedule.verify import ScheduleFault
from tilewright.isa import Deform, LoadWeights, Unit

LOAD = LoadWeights(address=0, words=1, base=0)
DEFORM = Deform(
    fraction=0, taps=1, shared=1, row_pitch=1, first_row=0, rows=1, row_base=0, last_parts=1,
    offset_base=0, row_step=1, group_step=1,
)  # fmt: skip


def test_a_command_waits_for_earlier_ones():
    verify_commands([Entry(LOAD, {}), Entry(LOAD, {Unit.LOAD: 0})])
    with pytest.raises(ScheduleFault, match=r"command 1, a LoadWeights .* comes after it"):
        verify_commands([Entry(LOAD, {}), Entry(LOAD, {Unit.COMPUTE: 0})])


def test_a_deform_leads_a_compute():
    with pytest.raises(ScheduleFault, match="the last command is a Deform"):
        verify_commands([Entry(DEFORM, {})])
    with pytest.raises(ScheduleFault, match="stands between a Deform and what it is for"):
        verify_commands([Entry(DEFORM, {}), Entry(DEFORM, {})])
