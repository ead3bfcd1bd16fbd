"""A run as a timeline that Perfetto and chrome://tracing open.

Source: the Trace Event Format. A cycle is shown as one microsecond.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tilewright.files import write_text
from tilewright.isa import Command, Unit

_HIDDEN = {"layer", "wait_load", "wait_compute", "wait_store"}


def write_timeline(
    path: Path,
    layers: Sequence[str],
    commands: Mapping[Unit, Sequence[Command]],
    starts: Mapping[Unit, Sequence[int]],
    dones: Mapping[Unit, Sequence[int]],
) -> None:
    """Write every command of a run, one track per unit.

    Parameters
    ----------
    layers : names, by the commands' ``layer``
    starts, dones : cycle of each command. The drain of a compute command overlaps the next one: it
        is shown until that begins, and its last cycle is among its arguments.
    """
    events: list[dict[str, object]] = []
    for unit in Unit:
        name = {"name": unit.name.lower()}
        events.append({"ph": "M", "name": "thread_name", "pid": 0, "tid": int(unit), "args": name})
        begins = [*starts[unit], None]
        for index, command in enumerate(commands[unit]):
            start, done, following = starts[unit][index], dones[unit][index], begins[index + 1]
            end = done + 1 if following is None else min(done + 1, following)
            fields = {k: v for k, v in asdict(command).items() if k not in _HIDDEN}
            kind = type(command).__name__
            events.append(
                {
                    "ph": "X",
                    "name": layers[command.layer] if unit is not Unit.LOAD else kind,
                    "cat": kind,
                    "pid": 0,
                    "tid": int(unit),
                    "ts": start,
                    "dur": end - start,
                    "args": {
                        "layer": layers[command.layer], "command": index, "done": done, **fields
                    },
                }
            )  # fmt: skip
    write_text(path, json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))
