"""Every word at every index."""

import random

import cocotb
from cocotb.triggers import Timer

from tests.hdl.lib.choosers import COUNTS, KINDS, WIDTH


@cocotb.test()
async def the_word_at_the_index_is_returned(dut):
    rng = random.Random(3)
    for _ in range(20):
        words = [rng.randrange(1 << WIDTH) for _ in COUNTS]
        dut.i.value = sum(word << WIDTH * n for n, word in enumerate(words))
        for index in range(len(words)):
            dut.index.value = index
            await Timer(1, unit="ns")
            for count in COUNTS:
                for kind in KINDS:
                    o = getattr(dut, f"{kind}_{count}").value.to_unsigned()
                    assert index >= count or o == words[index], f"{kind}, {index} of {count}"
