"""The printed form of a graph, which parses back equal.

One operator per block, one attribute per line, values before operators::

    tilewright-graph 1
    name "digits"
    value "x" shape=[1, 8, 8] bits=8 signed=false scale=0.0625 zero_point=0

    op Conv2d "features.0"
      input = "x"
      weight = array int8 [4, 1, 3, 3] eNoBAg...
      stride = [1, 1]
      requantize.multiplier = [1] * 4
    end

Everything is JSON but arrays (base64 of zlib-compressed little-endian integers) and repeated lists.
Floats print as Python's shortest form that reads back equal. An attribute that has its default is
left out.
"""

import base64
import binascii
import json
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, NoReturn

import numpy as np

from tilewright.compiler.ir.arithmetic import IntArray, Integers
from tilewright.compiler.ir.graph import Graph
from tilewright.compiler.ir.op import Names, Op, OptionalName, Padding, Pair
from tilewright.compiler.ir.ops import OPS
from tilewright.compiler.ir.types import Ratio, Requantize, Rounding, TensorType, VerifyError
from tilewright.errors import Error

_HEADER = "tilewright-graph 1"
_VALUE = re.compile(
    r'value (".*") shape=(\[.*\]) bits=(\d+) signed=(true|false) scale=(\S+) zero_point=(-?\d+)'
)
_ARRAY = re.compile(r"array (int8|int16|int32|int64) (\[[\d, ]*\]) (\S+)")
_LENGTHS: dict[object, int] = {Pair: 2, Padding: 4}
_REPEAT = re.compile(r"\[(-?[\d.e+-]+)\] \* (\d+)")
_ENDS = [f for f in fields(Requantize) if f.name not in ("multiplier", "shift")]

#: What the text of a graph may hold: constants of all operators, elements of one value, lines, and
#: integers below. A few bytes of text can stand for any number of them.
MAX_CONSTANTS, MAX_ELEMENTS, MAX_LINES, MAX_INTEGER = 1 << 25, 1 << 26, 1 << 20, 1 << 31


class ParseError(Error):
    """Text is not a printed graph; ``line`` is the 1-based number of the line at fault."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


def print_graph(graph: Graph) -> str:
    """Print every value, operator, attribute and weight of ``graph``."""
    lines = [_HEADER, f"name {json.dumps(graph.name)}"]
    for name, t in graph.values.items():
        lines.append(
            f"value {json.dumps(name)} shape={json.dumps(t.shape)} bits={t.bits} "
            f"signed={json.dumps(t.signed)} scale={t.scale!r} zero_point={t.zero_point}"
        )
    for op in graph.ops:
        lines += ["", f"op {op.kind} {json.dumps(op.name)}"]
        for field in fields(op):
            if field.name != "name":
                lines += _attribute(field.name, getattr(op, field.name))
    return "\n".join([*lines, "end", ""])


def parse_graph(text: str) -> Graph:
    """Read what :func:`print_graph` wrote, and verify it.

    Raises
    ------
    ParseError   If the text is damaged, or larger than the limits above; names the line.
    VerifyError  If the text is well formed but the graph breaks a rule.
    """
    if text.count("\n") > MAX_LINES:
        raise ParseError(MAX_LINES, "there are more lines than a graph has")
    parser = _Parser(text.split("\n"))
    graph = parser.graph()
    graph.verify()
    return graph


def check_limits(graph: Graph) -> None:
    """Refuse a graph whose printed form would not be read again.

    Raises
    ------
    VerifyError
        Naming what is too large.
    """
    for name, kind in graph.values.items():
        if kind.numel > MAX_ELEMENTS:
            raise VerifyError(f"{name}: {kind.numel} elements; at most {MAX_ELEMENTS} are taken")
    arrays = [getattr(op, field.name) for op in graph.ops for field in fields(op)]
    total = sum(array.size for array in arrays if isinstance(array, np.ndarray))
    if total > MAX_CONSTANTS:
        raise VerifyError(f"{total} constants; a graph has at most {MAX_CONSTANTS}")


def _attribute(name: str, value: object) -> list[str]:
    match value:
        case np.ndarray():
            return [f"  {name} = {_print_array(value)}"]
        case Ratio():
            inner = [(f"{name}.factor", value.factors), *_ends(name, value)]
            return [line for key, item in inner for line in _attribute(key, item)]
        case Requantize():
            items = [(f, getattr(value, f.name)) for f in fields(value)]
            inner = [(f"{name}.{f.name}", item) for f, item in items if item != f.default]
            return [line for key, item in inner for line in _attribute(key, item)]
        case (int() | float(), *_) if len(value) > 4 and len(set(value)) == 1:
            return [f"  {name} = [{value[0]!r}] * {len(value)}"]
        case _:
            return [f"  {name} = {json.dumps(value)}"]


def _ends(name: str, value: Requantize) -> list[tuple[str, object]]:
    """Return what a requantization has besides its factors, by name, without defaults."""
    items = [(f, getattr(value, f.name)) for f in _ENDS]
    return [(f"{name}.{f.name}", item) for f, item in items if item != f.default]


def _print_array(array: Integers) -> str:
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    width = next(w for w in (8, 16, 32, 64) if -(1 << (w - 1)) <= low and high < 1 << (w - 1))
    data = zlib.compress(array.astype(f"<i{width // 8}").tobytes(), 9)
    return f"array int{width} {json.dumps(array.shape)} {base64.b64encode(data).decode()}"


class _Parser:
    """Reads lines in order; ``self.at`` is the index of the current one."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.at = 0
        self.constants = 0  # of all operators so far

    def fail(self, message: str) -> NoReturn:
        raise ParseError(self.at + 1, message)

    def line(self) -> str:
        if self.at >= len(self.lines):
            self.fail("the text ends before 'end'")
        return self.lines[self.at]

    def graph(self) -> Graph:
        if self.line() != _HEADER:
            self.fail(f"the first line must be {_HEADER!r}")
        self.at += 1
        if not self.line().startswith("name "):
            self.fail('expected name "..."')
        name = self.string(self.line().removeprefix("name "))
        self.at += 1
        values: dict[str, TensorType] = {}
        while self.line().startswith("value"):
            key, value_type = self.value()
            if key in values:
                self.fail(f"value {key!r} is declared twice")
            values[key] = value_type
            self.at += 1
        ops: list[Op] = []
        while self.line() != "end":
            if not self.line():
                self.at += 1
            elif self.line().startswith("op "):
                ops.append(self.op())
            else:
                self.fail(f"expected an operator or 'end', not {self.line()[:40]!r}")
        if rest := [i for i in range(self.at + 1, len(self.lines)) if self.lines[i].strip()]:
            self.at = rest[0]
            self.fail("text after 'end'")
        return Graph(name, values, tuple(ops))

    def string(self, text: str) -> str:
        value = self.json(text)
        if not isinstance(value, str):
            self.fail(f"expected a quoted name, not {text[:40]!r}")
        return value

    def json(self, text: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            self.fail(f"cannot read {text[:40]!r}")

    def value(self) -> tuple[str, TensorType]:
        match = _VALUE.fullmatch(self.line())
        if not match:
            self.fail("a value needs shape, bits, signed, scale and zero_point, in this order")
        name, shape, bits, signed, scale, zero_point = match.groups()
        try:
            value_type = TensorType(
                self.integers(self.json(shape)),
                int(bits),
                signed == "true",
                float(scale),
                int(zero_point),
            )
        except (Error, ValueError) as error:
            self.fail(str(error))
        if value_type.numel > MAX_ELEMENTS:
            self.fail(f"{value_type.numel} elements are more than {MAX_ELEMENTS}")
        return self.string(name), value_type

    def integers(self, value: object) -> Any:
        if not isinstance(value, list) or any(type(v) is not int for v in value):
            self.fail(f"expected a list of integers, not {str(value)[:40]}")
        self.check_range(value)
        return tuple(value)

    def check_range(self, values: Sequence[object]) -> None:
        for value in values:
            if isinstance(value, int) and not -MAX_INTEGER <= value < MAX_INTEGER:
                self.fail(f"{str(value)[:40]} has more than 32 bits")

    def count(self, constants: int) -> None:
        """Refuse more constants than a graph may have, before they are made."""
        self.constants += constants
        if self.constants > MAX_CONSTANTS:
            self.fail(f"more than {MAX_CONSTANTS} constants")

    def op(self) -> Op:
        start = self.at
        _, kind, name = [*self.line().split(" ", 2), "", ""][:3]
        cls = next((c for c in OPS if c.__name__ == kind), None)
        if cls is None:
            self.fail(f"no operator is called {kind!r}")
        found: dict[str, Any] = {"name": self.string(name)}
        self.at += 1
        while self.line().startswith("  "):
            key, separator, text = self.line().strip().partition(" = ")
            if not separator or key in found:
                self.fail(f"expected one 'attribute = value', not {self.line()[:40]!r}")
            found[key] = self.attribute(text)
            self.at += 1
        end, self.at = self.at, start
        arguments: dict[str, Any] = {}
        for field in fields(cls):
            if field.type is Requantize:
                arguments[field.name] = self.requantize(found, field.name)
            else:
                arguments[field.name] = self.take(found, "", field)
        if found:
            self.fail(f"{kind} has no attribute {min(found)!r}")
        op = cls(**arguments)
        self.at = end
        return op

    def requantize(self, found: dict[str, Any], name: str) -> Requantize:
        """Take multipliers and shifts, or the factors of which there will be some."""
        factors = found.pop(f"{name}.factor", None)
        known = fields(Requantize) if factors is None else _ENDS
        parts = {f.name: self.take(found, name, f) for f in known}
        try:
            if factors is None:
                return Requantize(**parts)
            if type(factors) is not tuple or any(type(f) is not float for f in factors):
                self.fail(f"{name}.factor must be a list of numbers with a point")
            return Ratio.of(factors, **parts)
        except Error as error:
            self.fail(f"{name}: {error}")

    def take(self, found: dict[str, Any], prefix: str, field: Any) -> Any:
        key = f"{prefix}.{field.name}" if prefix else field.name
        if key not in found and field.default is not MISSING:
            return field.default
        if key not in found:
            self.fail(f"the operator lacks the attribute {key!r}")
        value = found.pop(key)
        if field.type == OptionalName:
            expected: Any = str if value is not None else type(None)
        elif field.type in (str, int, bool):
            expected = field.type
        elif field.type == Rounding:
            expected = str
        else:
            expected = np.ndarray if field.type in (IntArray, Integers) else tuple
        if type(value) is not expected:
            self.fail(f"{key} must be of type {expected.__name__}, not {type(value).__name__}")
        if expected is tuple:
            item, what = (str, "names") if field.type == Names else (int, "integers")
            if any(type(v) is not item for v in value):
                self.fail(f"{key} must be a list of {what}, not {str(value)[:40]}")
            length = _LENGTHS.get(field.type, len(value))
            if len(value) != length:
                self.fail(f"{key} must have {length} entries, not {len(value)}")
        return value

    def attribute(self, text: str) -> Any:
        if match := _ARRAY.fullmatch(text):
            return self.array(*match.groups())
        if match := _REPEAT.fullmatch(text):
            value, count = self.json(match[1]), self.json(match[2])
            self.check_range([value])
            self.count(count)
            return (value,) * count
        value = self.json(text)
        values = tuple(value) if isinstance(value, list) else (value,)
        self.check_range(values)
        return values if isinstance(value, list) else value

    def array(self, dtype: str, shape: str, data: str) -> Integers:
        sizes = self.integers(self.json(shape))
        self.count(math.prod(sizes))
        kind = np.dtype(dtype).newbyteorder("<")
        size = math.prod(sizes) * kind.itemsize
        try:
            unpacker = zlib.decompressobj()
            raw = unpacker.decompress(base64.b64decode(data, validate=True), size + 1)
            if len(raw) != size or not unpacker.eof:
                raise ValueError(f"it has not {size} bytes")
            return np.frombuffer(raw, kind).astype(dtype, copy=False).reshape(sizes)
        except (binascii.Error, zlib.error, ValueError) as error:
            self.fail(f"damaged array: {error}")
