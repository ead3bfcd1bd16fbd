"""Every command survives its encoding, and what does not fit is refused by name."""

import random
from dataclasses import replace

import pytest

from tilewright.isa import COMMANDS, EngineConfig, Unit, decode, encode
from tilewright.isa.commands import DecodeError
from tilewright.isa.fields import EncodeError

CASES = 50


def fields_of(kind):
    return (*kind.FIELDS, *kind.OPTIONS)


def random_command(kind, rng):
    """Return a command whose fields hold anything, their extremes often."""
    values = {}
    for field in fields_of(kind):
        low, high = field.range
        values[field.name] = rng.choice((low, high, rng.randint(low, high)))
    return kind(**values)


def sizes(kind):
    """Return the sizes in which a command can lie in memory."""
    least = kind.UNIT.least_bytes
    return (2 * least,) if kind.OPTIONS else (least, 2 * least)


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_every_command_comes_back_as_it_was(kind):
    for seed in range(CASES):
        command = random_command(kind, random.Random(seed))
        for size in sizes(kind):
            data = encode(command, size)
            assert len(data) == size, f"seed {seed}"
            assert decode(kind.UNIT, data) == command, f"seed {seed}, {size} bytes"


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_a_value_that_does_not_fit_is_refused_by_name(kind):
    command = random_command(kind, random.Random(0))
    for field in fields_of(kind):
        for value in (field.range[0] - 1, field.range[1] + 1):
            with pytest.raises(EncodeError, match=rf"{kind.__name__}\.{field.name} must be in"):
                encode(replace(command, **{field.name: value}), sizes(kind)[0])


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_no_two_fields_share_a_bit(kind):
    """A field's bits change nothing else."""
    command = random_command(kind, random.Random(1))
    size = sizes(kind)[0]
    before = int.from_bytes(encode(command, size), "little")
    taken = 0xFF  # the opcode's
    for field in fields_of(kind):
        changed = (
            replace(command, **{field.name: ~getattr(command, field.name)})
            if (field.signed)
            else replace(command, **{field.name: field.range[1] - getattr(command, field.name)})
        )
        bits = before ^ int.from_bytes(encode(changed, size), "little")
        assert bits.bit_count() == field.width
        assert bits & taken == 0, field.name
        taken |= bits
    # They lie together, from the lowest on.
    assert taken & (taken + 1) == 0


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_a_bit_above_the_fields_is_refused(kind):
    size = sizes(kind)[0]
    used = 8 + sum(field.width for field in fields_of(kind))
    word = int.from_bytes(encode(random_command(kind, random.Random(2)), size), "little")
    for bit in (used, 8 * size - 1):
        with pytest.raises(DecodeError, match=f"bits above {used} must be zero"):
            decode(kind.UNIT, (word | 1 << bit).to_bytes(size, "little"))


@pytest.mark.parametrize("unit", Unit)
def test_an_unknown_opcode_is_refused(unit):
    known = {kind.OPCODE for kind in COMMANDS if kind.UNIT is unit}
    for opcode in set(range(256)) - known:
        with pytest.raises(DecodeError, match=f"has no opcode {opcode}"):
            decode(unit, bytes([opcode]).ljust(unit.least_bytes, b"\0"))


def test_options_need_an_engine_that_has_them():
    options = [kind for kind in COMMANDS if kind.OPTIONS]
    assert options
    for kind in options:
        zero = {field.name: 0 for field in kind.OPTIONS}
        plain = replace(random_command(kind, random.Random(3)), **zero)
        assert decode(kind.UNIT, encode(plain)) == plain
        with pytest.raises(EncodeError, match="options that the engine does not have"):
            encode(replace(plain, **{kind.OPTIONS[-1].name: 1}))
    assert EngineConfig(partial_depth=64).command_bytes(Unit.COMPUTE) == 128
