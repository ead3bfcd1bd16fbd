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
Floats print as Python's shortest form that reads back equal.
"""

import base64
import binascii
import json
import re
import zlib
from dataclasses import fields
from typing import Any, NoReturn

import numpy as np

from tilewright.compiler.ir.graph import Graph
from tilewright.compiler.ir.ops import OPS, IntArray, Names, Op, OptionalName
from tilewright.compiler.ir.types import Requantize, TensorType
from tilewright.errors import Error

_HEADER = "tilewright-graph 1"
_VALUE = re.compile(
    r'value (".*") shape=(\[.*\]) bits=(\d+) signed=(true|false) scale=(\S+) zero_point=(-?\d+)'
)
_ARRAY = re.compile(r"array (int8|int16|int32|int64) (\[[\d, ]*\]) (\S+)")
_REPEAT = re.compile(r"\[(-?\d+)\] \* (\d+)")
_MAX_REPEAT = 1 << 20


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
    ParseError   If the text is damaged; names the line.
    VerifyError  If the text is well formed but the graph breaks a rule.
    """
    parser = _Parser(text.splitlines())
    graph = parser.graph()
    graph.verify()
    return graph


def _attribute(name: str, value: object) -> list[str]:
    match value:
        case np.ndarray():
            return [f"  {name} = {_print_array(value)}"]
        case Requantize():
            inner = [(f"{name}.{f.name}", getattr(value, f.name)) for f in fields(value)]
            return [line for key, item in inner for line in _attribute(key, item)]
        case (int(), *_) if len(value) > 4 and len(set(value)) == 1:
            return [f"  {name} = [{value[0]}] * {len(value)}"]
        case _:
            return [f"  {name} = {json.dumps(value)}"]


def _print_array(array: IntArray) -> str:
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    width = next(w for w in (8, 16, 32, 64) if -(1 << (w - 1)) <= low and high < 1 << (w - 1))
    data = zlib.compress(array.astype(f"<i{width // 8}").tobytes(), 9)
    return f"array int{width} {json.dumps(array.shape)} {base64.b64encode(data).decode()}"


class _Parser:
    """Reads lines in order; ``self.at`` is the index of the current one."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.at = 0

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
        except ValueError:
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
        return self.string(name), value_type

    def integers(self, value: object) -> Any:
        if not isinstance(value, list) or any(type(v) is not int for v in value):
            self.fail(f"expected a list of integers, not {str(value)[:40]}")
        return tuple(value)

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
                parts = {f.name: self.take(found, field.name, f) for f in fields(Requantize)}
                try:
                    arguments[field.name] = Requantize(**parts)
                except Error as error:
                    self.fail(f"{field.name}: {error}")
            else:
                arguments[field.name] = self.take(found, "", field)
        if found:
            self.fail(f"{kind} has no attribute {min(found)!r}")
        op = cls(**arguments)
        self.at = end
        return op

    def take(self, found: dict[str, Any], prefix: str, field: Any) -> Any:
        key = f"{prefix}.{field.name}" if prefix else field.name
        if key not in found:
            self.fail(f"the operator lacks the attribute {key!r}")
        value = found.pop(key)
        if field.type == OptionalName:
            expected: Any = str if value is not None else type(None)
        elif field.type in (str, int, bool):
            expected = field.type
        else:
            expected = np.ndarray if field.type == IntArray else tuple
        if type(value) is not expected:
            self.fail(f"{key} must be of type {expected.__name__}, not {type(value).__name__}")
        if expected is tuple:
            item, what = (str, "names") if field.type == Names else (int, "integers")
            if any(type(v) is not item for v in value):
                self.fail(f"{key} must be a list of {what}, not {str(value)[:40]}")
        return value

    def attribute(self, text: str) -> Any:
        if match := _ARRAY.fullmatch(text):
            return self.array(*match.groups())
        if match := _REPEAT.fullmatch(text):
            value, count = int(match[1]), int(match[2])
            if count > _MAX_REPEAT:
                self.fail(f"{count} repetitions are too many")
            return (value,) * count
        value = self.json(text)
        return tuple(value) if isinstance(value, list) else value

    def array(self, dtype: str, shape: str, data: str) -> IntArray:
        sizes = self.integers(self.json(shape))
        try:
            raw = zlib.decompress(base64.b64decode(data, validate=True))
            flat = np.frombuffer(raw, np.dtype(dtype).newbyteorder("<"))
            return flat.astype(np.int64).reshape(sizes)
        except (binascii.Error, zlib.error, ValueError) as error:
            self.fail(f"damaged array: {error}")
