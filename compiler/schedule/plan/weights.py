"""How the weights of a group share the weight buffer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from tilewright.compiler.schedule.array.section import Block
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.limits import EngineLimitError, at_least
from tilewright.compiler.schedule.plan.group import Group
from tilewright.isa import EngineConfig


@dataclass(frozen=True)
class WeightPlan:
    """Which weights stay in the buffer, and in which blocks they are loaded.

    Parameters
    ----------
    resident : per stage, whether its weights stay in the buffer over all strips
    blocks : per stage, the kernel groups whose weights are loaded together
    stream_words : weight words in which weights that are not resident take turns
    """

    resident: tuple[bool, ...]
    blocks: tuple[tuple[Block, ...], ...]
    stream_words: int

    def halved_end(self) -> WeightPlan | None:
        """Return the same with the last block of the last stage in two; None if it is too small."""
        *before, last = self.blocks[-1]
        if last.n_kg == 1:
            return None
        first = Block(last.kg, -(-last.n_kg // 2))
        halves = first, Block(first.end, last.end - first.end)
        return replace(self, blocks=(*self.blocks[:-1], (*before, *halves)))


def plan_weights(
    group: Group, config: EngineConfig, blocks: Sequence[Block], runs: int
) -> WeightPlan | EngineLimitError:
    """Return how a group's weights share the buffer, or why they do not.

    ``blocks`` : for each of which the group runs once; ``runs`` : its strips of rows, in all strips
    of columns.
    """
    stages = group.stages
    if len(blocks) > 1:
        widest = max(stages[0].block_words(config, block) for block in blocks)
    else:
        widest = max(stage.widest_words(config) for stage in stages)
    if widest > config.weight_depth:
        return EngineLimitError(
            f"{stages[0].name}: the weights of {config.rows} output channels take {widest} words; "
            f"{at_least(config, 'weight_depth', widest)}"
        )
    if len(blocks) > 1:
        return WeightPlan((False,) * len(stages), (tuple(blocks),), config.weight_depth)
    whole = [Block(0, stage.n_kg) for stage in stages]
    resident, stream = (False,) * len(stages), config.weight_depth
    if runs > 1:
        sizes = [s.block_words(config, block) for s, block in zip(stages, whole, strict=True)]
        resident, stream = _residents(sizes, widest, config)
    cuts = tuple(
        (block,) if kept else _cut(stage, config, stream // 4)
        for stage, block, kept in zip(stages, whole, resident, strict=True)
    )
    return WeightPlan(resident, cuts, stream)


@lru_cache(maxsize=65536)
def _cut(stage: Stage, config: EngineConfig, words: int) -> tuple[Block, ...]:
    """Cut a stage's kernel groups into blocks of at most ``words`` words, or single ones."""
    result: list[Block] = []
    used = 0
    for kg in range(stage.n_kg):
        size = stage.block_words(config, Block(kg, 1))
        if result and used + size <= words:
            result[-1] = Block(result[-1].kg, result[-1].n_kg + 1)
            used += size
        else:
            result.append(Block(kg, 1))
            used = size
    return tuple(result)


def _residents(
    sizes: Sequence[int], widest: int, config: EngineConfig
) -> tuple[tuple[bool, ...], int]:
    """Return which stages' weights stay in the buffer, and the words in which the rest pass."""
    if sum(sizes) <= config.weight_depth:
        return (True,) * len(sizes), 0
    # Keep what is small: every word kept saves as much.
    stream = min(2 * widest, config.weight_depth)
    free = config.weight_depth - stream
    kept = set()
    for index in sorted(range(len(sizes)), key=lambda i: sizes[i]):
        if sizes[index] <= free:
            kept.add(index)
            free -= sizes[index]
    return tuple(index in kept for index in range(len(sizes))), stream + free
