"""How much a protocol buffer will take in memory, found before it is parsed.

An empty message takes two bytes in a file and a hundred in memory, a small number one byte and
eight: a file of some megabytes can fill a machine. So its fields are counted first, by the
message's own description.

Source: protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from typing import Any

from tilewright.errors import Error

MAX_BYTES = 1 << 29
"""That a parsed message may take, by the estimate here."""
MAX_DEPTH = 24
_MESSAGE_BYTES, _FIELD_BYTES, _NUMBER_BYTES = 1024, 512, 8  # generous: it also bounds the time
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_TYPE_MESSAGE, _TYPE_STRING, _TYPE_BYTES = 11, 9, 12


def check_size(data: bytes, kind: Any) -> None:
    """Refuse bytes that are no message of a kind, or one that takes too much memory.

    Parameters
    ----------
    kind : descriptor of the message, as ``onnx.ModelProto.DESCRIPTOR``

    Raises
    ------
    Error  If they are.
    """
    _Scan(memoryview(data)).message(0, len(data), kind, 0)


class _Scan:
    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.taken = 0

    def message(self, at: int, end: int, kind: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Error(f"its messages are nested more than {MAX_DEPTH} deep")
        self._take(_MESSAGE_BYTES)
        fields = kind.fields_by_number
        while at < end:
            key, at = self._number(at, end)
            wire, field = key & 7, fields.get(key >> 3)
            self._take(_FIELD_BYTES)
            if wire == _VARINT:
                _, at = self._number(at, end)
            elif wire in (_FIXED32, _FIXED64):
                at += 4 if wire == _FIXED32 else 8
            elif wire == _LENGTH:
                size, at = self._number(at, end)
                if size > end - at:
                    raise Error("it is cut off, or damaged")
                if field is None or field.type in (_TYPE_STRING, _TYPE_BYTES):
                    self._take(size)
                elif field.type == _TYPE_MESSAGE:
                    self.message(at, at + size, field.message_type, depth + 1)
                else:
                    self._take(size * _NUMBER_BYTES)
                at += size
            else:
                raise Error("it is damaged")
        if at != end:
            raise Error("it is cut off, or damaged")

    def _number(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end and shift < 70:
            byte = self.data[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return value, at
        raise Error("it is cut off, or damaged")

    def _take(self, size: int) -> None:
        self.taken += size
        if self.taken > MAX_BYTES:
            raise Error(f"it takes more than {MAX_BYTES >> 20} MiB of memory")
