"""Where windows come from: two maps, of which one is multiplied by the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.ir import TensorType
from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.array.section import Section
from tilewright.compiler.schedule.array.windows import JoinedWindows, WindowFields
from tilewright.compiler.schedule.array.work import Work
from tilewright.isa import EngineConfig
from tilewright.isa.passes import PassShape


@dataclass(frozen=True, kw_only=True, eq=False)
class FactorWindows(JoinedWindows):
    """Windows of two maps of one shape, the first of which is the factor of the second.

    A step multiplies one pixel of every channel: ``(factor - its zero point) * other``. Where the
    other has a zero point, the factor is multiplied by it in a step of its own.

    Parameters
    ----------
    factor : TensorType of the first map; ``type`` is the second's
    factor_steps : 1 if the factor takes a step of its own, else 0
    """

    factor: TensorType
    factor_steps: int

    divisible: ClassVar[bool] = False
    on_grid: ClassVar[bool] = False

    def steps_before(self, segment: int) -> int:
        """Return what a command says of the factor's steps."""
        return 0

    def pass_shape(
        self, config: EngineConfig, section: Section, segments: tuple[int, int, int]
    ) -> PassShape:
        """Return what a pass runs through."""
        return PassShape.of_product(config, self.factor_steps)

    def parts(self, config: EngineConfig) -> int:
        """Return the accesses that come before a pass's first step."""
        return 2 - self.factor_steps

    def lead_parts(self, config: EngineConfig) -> int:
        """Return those for which a kernel group waits."""
        return 1

    def too_large(
        self, words: int, rings: Mapping[str, Ring], config: EngineConfig
    ) -> tuple[str, str]:
        """Return why rows of so many lane words do not fit on chip, and what helps beside room."""
        return f"a row of both maps takes {words} words of each lane", ""

    def fields(self, config: EngineConfig, work: Work, *, per_group: bool) -> WindowFields:
        """Return what the command of some work says of its windows."""
        fields = super().fields(config, work, per_group=per_group)
        fields["pad"] = self.factor.zero_point & 0xFF
        fields["r_dy"] = self.factor_steps
        fields["s_dx"] = fields["s_lane"] = int(self.factor.signed)
        fields["s_word"] = 0
        return fields
