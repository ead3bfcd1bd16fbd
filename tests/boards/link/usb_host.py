"""A USB host at the data lines, bit by bit: full speed, 12 Mbit/s.

Source: Universal Serial Bus Specification 2.0, chapters 7.1 and 8.
"""

from enum import IntEnum

SAMPLES = 4  # cycles of the domain usb_io in a bit
J, K, SE0 = (1, 0), (0, 1), (0, 0)
SYNC = (0, 0, 0, 0, 0, 0, 0, 1)
STUFFED = 6  # ones after which there is a zero


class Pid(IntEnum):
    OUT, IN, SETUP = 0x1, 0x9, 0xD
    DATA0, DATA1 = 0x3, 0xB
    ACK, NAK, STALL = 0x2, 0xA, 0xE

    @property
    def byte(self):
        return self | (self ^ 15) << 4


def crc(bits, width, polynomial):
    """Return a checksum's bits as they are sent: inverted, the most significant first."""
    state = (1 << width) - 1
    for bit in bits:
        carry = (state >> width - 1 & 1) ^ bit
        state = (state << 1 & (1 << width) - 1) ^ (polynomial if carry else 0)
    return [state >> n & 1 ^ 1 for n in reversed(range(width))]


def bits_of(data):
    return [byte >> n & 1 for byte in data for n in range(8)]


def bytes_of(bits):
    assert len(bits) % 8 == 0
    octets = (bits[i : i + 8] for i in range(0, len(bits), 8))
    return bytes(sum(bit << n for n, bit in enumerate(octet)) for octet in octets)


def token(pid, address, endpoint):
    field = [*(address >> n & 1 for n in range(7)), *(endpoint >> n & 1 for n in range(4))]
    return bytes_of(bits_of([pid.byte]) + field + crc(field, 5, 0b00101))


def data_packet(pid, payload):
    check = crc(bits_of(payload), 16, 0x8005)
    return bytes([pid.byte]) + payload + bytes_of(check)


def states(packet):
    """Return the lines' states of a packet, one for each bit."""
    bits, ones = [], 0
    for bit in [*SYNC, *bits_of(packet)]:
        bits.append(bit)
        ones = ones + 1 if bit else 0
        if ones == STUFFED:
            bits.append(0)
            ones = 0
    state = J
    for bit in bits:
        state = state if bit else (K if state == J else J)
        yield state
    yield from (SE0, SE0, J)


def packet_of(seen):
    """Return the packet of states that end with SE0."""
    bits, before, ones = [], J, 0
    for state in seen:
        bit = int(state == before)
        if ones == STUFFED:
            assert not bit, "a zero is missing after six ones"
            ones = 0
        else:
            bits.append(bit)
            ones = ones + 1 if bit else 0
        before = state
    assert tuple(bits[:8]) == SYNC
    return bytes_of(bits[8:])


class Host:
    """What asks a device's endpoints; ``pins`` are the device's."""

    IDLE, PATIENCE = 3, 18  # bits between packets, and until a device's answer is overdue

    def __init__(self, ctx, pins):
        self.ctx, self.pins = ctx, pins
        self.address = 0
        self.toggles = {}
        self.refused = 0  # packets that the device had no room or no data for

    async def _cycle(self):
        await self.ctx.tick("usb_io")

    def _drive(self, state):
        self.ctx.set(self.pins.d_p_i, state[0])
        self.ctx.set(self.pins.d_n_i, state[1])

    async def hold(self, state, bits):
        self._drive(state)
        await self.ctx.tick("usb_io").repeat(SAMPLES * bits)

    async def send(self, packet):
        for state in states(packet):
            await self.hold(state, 1)
        self._drive(J)

    async def receive(self):
        """Return a packet of the device."""
        for _ in range(SAMPLES * self.PATIENCE):
            if self.ctx.get(self.pins.oe):
                break
            await self._cycle()
        else:
            raise AssertionError("no answer")
        seen = []
        while True:
            for sample in range(SAMPLES):
                assert self.ctx.get(self.pins.oe)
                if sample == SAMPLES // 2:
                    seen.append((self.ctx.get(self.pins.d_p_o), self.ctx.get(self.pins.d_n_o)))
                await self._cycle()
            if seen[-1] == SE0:
                break
        while self.ctx.get(self.pins.oe):
            await self._cycle()
        await self.hold(J, self.IDLE)
        return packet_of(seen[:-1])

    async def give(self, endpoint, payload, pid=Pid.OUT):
        """Give a packet to an endpoint until it has room for it."""
        number = 0 if pid is Pid.SETUP else self.toggles.get(endpoint, 0)
        while True:
            await self.send(token(pid, self.address, endpoint))
            await self.hold(J, self.IDLE)
            await self.send(data_packet(Pid.DATA1 if number else Pid.DATA0, payload))
            answer = await self.receive()
            if answer == bytes([Pid.ACK.byte]):
                break
            assert answer == bytes([Pid.NAK.byte])
            self.refused += 1
        self.toggles[endpoint] = 1 - number

    async def take(self, endpoint):
        """Return a packet of an endpoint; None if it has none."""
        await self.send(token(Pid.IN, self.address, endpoint))
        packet = await self.receive()
        if packet == bytes([Pid.NAK.byte]):
            self.refused += 1
            return None
        number = self.toggles.get((endpoint, "in"), 0)
        payload = packet[1:-2]
        assert packet == data_packet(Pid.DATA1 if number else Pid.DATA0, payload)
        self.toggles[endpoint, "in"] = 1 - number
        await self.send(bytes([Pid.ACK.byte]))
        await self.hold(J, self.IDLE)
        return payload

    async def reset(self):
        """Reset the bus."""
        await self.hold(J, 40)
        await self.hold(SE0, 200)
        await self.hold(J, 40)

    async def control(self, kind, request, value, length=0):
        """Carry out a request at endpoint 0; return what the device says."""
        setup = [kind, request, value & 255, value >> 8, 0, 0, length & 255, length >> 8]
        await self.give(0, bytes(setup), Pid.SETUP)
        self.toggles[0] = self.toggles[0, "in"] = 1
        found = b""
        while len(found) < length:
            if (some := await self.take(0)) is not None:
                found += some
                if len(some) < 64:
                    break
        if length:
            self.toggles[0] = 1
            await self.give(0, b"")
        else:
            while await self.take(0) is None:
                pass
        return found
