"""Which instance and which memory of a design belongs where: what hdl has marked in RTLIL."""

from __future__ import annotations

import re
from collections import defaultdict

from tilewright.hdl.lib.place import ATTRIBUTE, Place

__all__ = ["marked_places"]

_MARK = re.compile(rf'attribute \\{ATTRIBUTE} "([^"]*)"')


def marked_places(rtlil: str, top: str) -> dict[str, Place]:
    """Return the places of instances and memories by their names once the design is flat.

    Parameters
    ----------
    rtlil : the design as Amaranth writes it: attributes stand before what they belong to
    top : name of its top module
    """
    marks: dict[str, dict[str, Place]] = defaultdict(dict)  # by module
    children: dict[str, list[tuple[str, str]]] = defaultdict(list)  # name and module, by module
    module, mark = "", None
    for line in map(str.strip, rtlil.splitlines()):
        if match := _MARK.fullmatch(line):
            mark = Place.from_attribute(match[1])
            continue
        kind, *words = line.split() or [""]
        if kind == "module":
            module = words[0]
        elif kind in ("cell", "memory"):
            name = words[-1].removeprefix("\\")
            if mark is not None:
                marks[module][name] = mark
            if kind == "cell":
                children[module].append((name, words[0]))
        if kind != "attribute":
            mark = None
    found: dict[str, Place] = {}

    def walk(within: str, path: str) -> None:
        found.update({path + name: place for name, place in marks.get(within, {}).items()})
        for name, child in children.get(within, ()):
            walk(child, f"{path}{name}.")

    walk(f"\\{top}", "")
    return found
