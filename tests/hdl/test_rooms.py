"""Each room says what is in it, in the order of data."""

import re
from pathlib import Path

import pytest

import tilewright.hdl

HDL = Path(tilewright.hdl.__file__).parent
ROOMS = sorted(path.parent for path in HDL.glob("**/__init__.py"))


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_room_lists_its_files_and_rooms(room):
    there = {path.stem for path in room.glob("*.py")} - {"__init__"}
    there |= {path.parent.name for path in room.glob("*/__init__.py")}
    listed = set(re.findall(r"``(\w+)``", (room / "__init__.py").read_text()))
    assert there <= listed, f"{room} does not say what these are: {sorted(there - listed)}"
