"""How long the windows of a deformable command take."""

from __future__ import annotations

from tilewright.isa.commands import Compute
from tilewright.isa.config import EngineConfig


def least_last_parts(config: EngineConfig, command: Compute) -> int:
    """Return the least ``Deform.last_parts`` of a command.

    A window's weights come with its last part, and a pass's results leave with its last window. So
    the word after a longer one must not be so short that it catches up with that word's weights or
    results.
    """
    pixels = command.out_w - (command.n_ox - 1) * config.cols
    if command.n_ox == 1:  # all words are alike
        return pixels
    segment = command.segment if command.n_cg > 1 else 0
    parts = min(config.cols, max(pixels, segment, command.last_segment))
    last = max(command.last_segment, parts)
    busy = command.n_r * command.n_s * ((command.n_cg - 1) * max(segment, parts) + last)
    return parts if busy >= config.drain_cycles else config.cols
