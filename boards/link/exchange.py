"""Requests to a board and its replies over a line that may lose, change, double or invent bytes.

Requests are numbered, and the board carries each number out once and in order (go back N):

- what comes out of order it answers with the number that it waits for, and the host goes on there;
- what it has done already it answers again. A write is not done again, a read is: so the host
  sends no write before all reads before it are answered;
- what stays unanswered is sent again. Without any progress over several times, the line is dead.

A session begins with a HELLO of a random number, which the board takes once. So nothing that an
earlier one left on the way counts.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tilewright.boards.link.frames import (
    BLOCK,
    OVERHEAD,
    Answer,
    Deframer,
    Operation,
    Request,
)
from tilewright.boards.link.transport import Line
from tilewright.errors import Error

#: Requests on their way at most: half of the numbers, so that old replies are told from new ones.
WINDOW = 64
#: Times that a request stays unanswered before the line is dead, if nothing at all comes back, and
#: if only damaged frames do.
ATTEMPTS, DAMAGED_ATTEMPTS = 60, 1000
_AROUND = OVERHEAD + 6  # bytes of a request that are no payload
#: Frames by which the board waits for a number that is not on its way, until it is clear that it
#: does not count with us: a line that is bad repeats old ones, but not as often.
_STRANGE = 10
_AGAIN = ": plug the board in, connect and load the program again"
_FORGET = 1 << 14  # bytes after which what was lost counts half


class LinkError(Error):
    """The board does not answer as it should."""


@dataclass
class Statistics:
    """What a session has sent and seen.

    Parameters
    ----------
    requests : int, carried out
    frames : int, sent, repeated ones included
    timeouts, out_of_order : int, reasons to send again
    """

    requests: int = 0
    frames: int = 0
    timeouts: int = 0
    out_of_order: int = 0


@dataclass(frozen=True)
class Hello:
    """What a board says of itself: bytes that its line buffers, and of its memory."""

    fifo_bytes: int
    memory_bytes: int


class Exchange:
    """The host's side of a line.

    Parameters
    ----------
    line : an open serial port, or anything that reads and writes bytes
    patience : seconds without a byte before requests are sent again
    """

    def __init__(self, line: Line, *, patience: float = 0.1) -> None:
        self._line = line
        self._patience = patience
        self._deframer = Deframer()
        self._sequence = 0  # of the next new request
        self._credit = 128  # bytes on their way at most; the board says how many
        self.statistics = Statistics()
        self._open = False  # whether the board and we count alike
        self._bytes, self._lost = 1.0, 0.0  # of late: bytes sent, and times that some were lost

    @property
    def block(self) -> int:
        """Bytes of payload to send in a request: fewer on a line that loses many frames.

        A frame of n bytes and h around them arrives with probability exp(-(n + h) * loss), and
        n / (n + h) of it counts: that is most at n = sqrt(h / loss).
        """
        loss = self._lost / self._bytes
        best = BLOCK if loss * BLOCK**2 <= _AROUND else (_AROUND / loss) ** 0.5
        return max(4, int(best) // 4 * 4)

    def hello(self, attempts: int = ATTEMPTS) -> Hello:
        """Begin a session.

        Raises
        ------
        LinkError
            If nothing answers.
        """
        reply = self._greet(attempts)
        while reply[6] != self._sequence:  # the board took us for the session before
            reply = self._greet(attempts)
        hello = Hello(1 << reply[4], 1 << reply[5])
        self._credit = hello.fifo_bytes
        self._open = True
        return hello

    def _greet(self, attempts: int) -> bytes:
        session = secrets.randbits(32)
        self._sequence = secrets.randbits(8)
        request = Request(Operation.HELLO, session)
        mine = session.to_bytes(4, "little")
        (reply,) = self._run([request], accept=lambda x: x[:4] == mine, limit=attempts)
        return reply

    def run(
        self,
        requests: Sequence[Request],
        progress: Callable[[int], None] = lambda done: None,
        *,
        attempts: int = ATTEMPTS,
    ) -> list[bytes]:
        """Have requests carried out in order; return the payloads of their replies.

        Parameters
        ----------
        progress : called with the number of requests that have been answered since the last call
        attempts : times that a request may stay unanswered

        Raises
        ------
        LinkError
            If the board does not answer; some requests may have been carried out. What comes
            next begins a new session.
        """
        if not self._open:
            self.hello()
        self._open = False
        replies: list[bytes] = []
        at = 0
        while at < len(requests):  # a write waits for the reads before it
            end, reads = at, False
            while end < len(requests) and not (reads and requests[end].operation.writes):
                reads |= not requests[end].operation.writes
                end += 1
            replies += self._run(requests[at:end], progress=progress, limit=attempts)
            at = end
        self._open = True
        return replies

    def _run(
        self,
        requests: Sequence[Request],
        *,
        accept: Callable[[bytes], bool] = lambda reply: True,
        progress: Callable[[int], None] = lambda done: None,
        limit: int = ATTEMPTS,
    ) -> list[bytes]:
        """Carry out writes, then reads."""
        first = self._sequence
        replies: list[bytes] = []
        sent = 0  # requests on their way end here
        on_way = 0  # bytes of them
        resent: int | None = None  # the request that was asked for, and sent again
        silent, attempts, heard, strange = 0.0, 0, False, 0
        while len(replies) < len(requests):
            while sent < len(requests) and sent - len(replies) < WINDOW:
                frame = requests[sent].encode((first + sent) & 0xFF)
                if on_way and on_way + len(frame) > self._credit:
                    break
                self._send(frame)
                on_way += len(frame)
                sent += 1
            before = time.monotonic()
            data = self._receive(requests, len(replies), sent)
            heard |= bool(data)
            self._bytes += len(data)
            done = len(replies)
            for content in self._deframer.feed(data):
                place = len(replies) + _distance(content[0], first + len(replies))
                kind, payload = content[1], content[2:]
                if kind == Answer.EXPECTED and len(replies) <= place <= sent:
                    self._skip(requests, replies, place)
                    if place != resent and place < sent:
                        resent = place
                        self.statistics.out_of_order += 1
                        self._lost += 1
                        sent = len(replies)
                elif kind == Answer.EXPECTED:
                    strange += 1
                elif kind == Answer.DONE and len(replies) <= place < sent:
                    self._skip(requests, replies, place)
                    if (
                        place == len(replies)
                        and len(payload) == requests[place].reply_bytes
                        and accept(payload)
                    ):
                        replies.append(payload)
                    elif place > len(replies) != resent:  # the reply to a read was lost
                        resent = sent = len(replies)
                        self.statistics.out_of_order += 1
                        self._lost += 1
            on_way = sum(len(x.payload) + _AROUND for x in requests[len(replies) : sent])
            if len(replies) > done:
                silent, attempts, heard, resent, strange = 0.0, 0, False, None, 0
                progress(len(replies) - done)
            else:
                silent += time.monotonic() - before
            if silent > self._patience and not data:
                silent, sent, on_way, resent = 0.0, len(replies), 0, None
                attempts += 1
                self.statistics.timeouts += 1
                self._lost += 1
                self._give_up(attempts, limit, heard, strange)
        self._sequence = (first + len(requests)) & 0xFF
        self.statistics.requests += len(requests)
        return replies

    @staticmethod
    def _give_up(attempts: int, limit: int, heard: bool, strange: int) -> None:
        """Raise when there is no hope left."""
        if attempts > limit and strange >= _STRANGE:
            raise LinkError(
                "the board waits for another request than those that were sent: it was reset, or "
                "somebody else uses it: connect and load the program again"
            )
        if attempts > limit and (not heard or limit < ATTEMPTS):
            raise LinkError(
                f"no answer after {limit} attempts: is the board configured with a Tilewright "
                "system, powered, and is this its serial port?"
            )
        if attempts > DAMAGED_ATTEMPTS:
            raise LinkError(
                f"only damaged answers to {DAMAGED_ATTEMPTS} attempts: does the line have the "
                "board's baud rate?"
            )

    @staticmethod
    def _skip(requests: Sequence[Request], replies: list[bytes], place: int) -> None:
        """Count writes as done that a board must have done before it came to ``place``."""
        while len(replies) < place and requests[len(replies)].operation.writes:
            replies.append(b"")

    def _send(self, frame: bytes) -> None:
        self.statistics.frames += 1
        self._bytes += len(frame)
        if self._bytes > _FORGET:
            self._bytes, self._lost = self._bytes / 2, self._lost / 2
        try:
            self._line.write(frame)
        except OSError as error:
            raise LinkError(f"the line is gone: {error}{_AGAIN}") from error

    def _receive(self, requests: Sequence[Request], done: int, sent: int) -> bytes:
        expected = sum(x.reply_bytes + OVERHEAD + 2 for x in requests[done:sent])
        try:
            return self._line.read(expected)
        except OSError as error:
            raise LinkError(f"the line is gone: {error}{_AGAIN}") from error


def _distance(number: int, other: int) -> int:
    """Return ``number - other`` modulo 256, from -128 to 127."""
    return (number - other + 128) % 256 - 128
