"""Program files that are not what they seem: damaged, forged, made of other commands.

Run as a script for the numbers that are too large for the suite:
``python -m tests.program.forge --damaged 2000 --forged 1000 --commands 1000``.
"""

import argparse
import copy
import hashlib
import io
import json
import time
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import tilewright as tw
from tests.cosim.random_layers import random_layer
from tests.peak import Peak
from tilewright.isa import Command, Unit, encode

ENGINE = tw.EngineConfig(rows=4, cols=2, act_depth=256, weight_depth=1024, out_depth=256)
SECONDS, BYTES = 10.0, 1 << 30  # what a file may cost at most

#: What a foreign field says.
VALUES = [
    None, True, False, 0, 1, -1, 3, 7, 255, 65535, 65536, 2**31, 2**32, 2**63, -(2**63), 10**400,
    0.0, -0.5, 1e308, 1e-308, "", "x", "\0", "x" * 5000, "../../etc/passwd", [], [0], [[]], {},
    {"x": 0}, [2**64] * 3, [-1] * 9,
]  # fmt: skip


def small_program(seed=2):
    """Return a program of one layer, and its file's bytes."""
    graph, inputs = random_layer(np.random.default_rng(seed), ENGINE)
    program = tw.compile_graph(graph, tw.Target(engine=ENGINE))
    with TemporaryDirectory() as folder:
        return program, inputs, program.save(Path(folder) / "net.tw").read_bytes()


def unpack(data):
    """Return the members of a program file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(members, *, sign=True):
    """Return a program file of these members; ``sign``: with checksums that are right."""
    members = dict(members)
    if sign:
        manifest = json.loads(members["manifest.json"])
        if isinstance(manifest, dict) and isinstance(manifest.get("sha256"), dict):
            for name in ("graph.txt", "memory.bin"):
                manifest["sha256"][name] = hashlib.sha256(members[name]).hexdigest()
            members["manifest.json"] = json.dumps(manifest).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return stream.getvalue()


def damaged(data, rng):
    """Return a file with some bytes changed, cut off, doubled or taken out."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = int(rng.integers(len(data)))
        if rng.random() < 0.5:  # near the ends, where the structure is
            at = int(rng.choice([at % 64, len(data) - 1 - at % min(400, len(data))]))
        match rng.integers(6):
            case 0:
                del data[at:]
            case 1:
                del data[at : at + int(rng.integers(1, 40))]
            case 2:
                data[at:at] = data[at : at + int(rng.integers(1, 40))]
            case 3:
                data[at] ^= 1 << int(rng.integers(8))
            case _:
                data[at] = int(rng.integers(256))
        if not data:
            break
    return bytes(data)


def places(value, path=()):
    """Yield the path of every field in a manifest, of lists only the first and last items."""
    items = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = [(i, value[i]) for i in sorted({0, len(value) - 1}) if value]
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def forged(members, rng):
    """Return a file with valid checksums and one foreign field; and what it says."""
    members = dict(members)
    if rng.random() < 0.3:
        return _forged_graph(members, rng)
    manifest = json.loads(members["manifest.json"])
    paths = list(places(manifest))
    path = paths[rng.integers(len(paths))]
    holder = manifest
    for key in path[:-1]:
        holder = holder[key]
    old, choice = holder[path[-1]], rng.integers(4)
    if choice == 0:
        del holder[path[-1]]
        what = "gone"
    elif choice == 1 and isinstance(old, int):
        what = holder[path[-1]] = old + int(rng.choice([-64, -1, 1, 64, 4096]))
    elif choice == 2 and isinstance(holder, dict):
        what = holder["foreign"] = copy.deepcopy(old)
    else:
        what = holder[path[-1]] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    members["manifest.json"] = json.dumps(manifest).encode()
    return pack(members), f"{'.'.join(map(str, path))}: {str(what)[:60]}"


def _forged_graph(members, rng):
    lines = members["graph.txt"].decode().split("\n")
    at = int(rng.integers(len(lines)))
    words = lines[at].split(" ")
    word = int(rng.integers(len(words)))
    numbers = ["0", "-1", "7", "65536", "99999999999", "9" * 500, "1e400", "[]", "[1] * 1048576"]
    words[word] = str(rng.choice([*numbers, '"x"', "null", "[" * 3000, "array int8 [999999999] x"]))
    lines[at] = " ".join(words)
    members["graph.txt"] = "\n".join(lines).encode()
    return pack(members), f"graph line {at}: {lines[at][:80]}"


def forged_commands(program, members, rng):
    """Return a file of whose commands some say something else; and which."""
    image = bytearray(members["memory.bin"])
    what = []
    for _ in range(rng.choice([1, 1, 2, 5])):
        unit = Unit(int(rng.integers(3)))
        address, count = program.streams[unit]
        size = program.engine.command_bytes(unit)
        place = address + int(rng.integers(count)) * size
        if rng.random() < 0.2:
            image[place + int(rng.integers(size))] ^= 1 << int(rng.integers(8))
            what.append(f"{unit.name} byte {place - address}")
            continue
        commands = program.commands(unit)
        command = commands[(place - address) // size]
        values = dict(vars(command))
        fields = command.FIELDS  # the engine has no options
        field = fields[rng.integers(len(fields))]
        low, high = field.range
        near = int(values[field.name]) + int(rng.integers(-2, 3))
        value = int(rng.choice([low, high, 0, 1, min(max(near, low), high)]))
        values[field.name] = value
        image[place : place + size] = raw(type(command), values, size)
        what.append(f"{unit.name} {(place - address) // size} {field.name}={value}")
    members = {**members, "memory.bin": bytes(image)}
    return pack(members), ", ".join(what)


def raw(kind: type[Command], values, size):
    """Return the bytes of a command, whatever it says."""
    return encode(kind(**values), size)


def attempt(path, data):
    """Load and run a file; return what came of it, and the seconds that it took.

    Anything but a result or a tilewright.Error is raised.
    """
    path.write_bytes(data)
    start = time.monotonic()
    try:
        program = tw.Program.load(path)
        tw.simulate(program, program.random_image(), backend="isa")
        outcome = "ran"
    except tw.Error as error:
        outcome = str(error)
    return outcome, time.monotonic() - start


def campaign(kind, count, seed, folder):
    """Try ``count`` files of a kind; raise at the first that costs too much or escapes."""
    program, _, data = small_program()
    members = unpack(data)
    slowest, ran = 0.0, 0
    peak = Peak()
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        what = ""
        if kind == "damaged":
            bad = damaged(data, rng)
        elif kind == "forged":
            bad, what = forged(members, rng)
        else:
            bad, what = forged_commands(program, members, rng)
        try:
            outcome, seconds = attempt(Path(folder) / "net.tw", bad)
        except BaseException as error:
            error.add_note(f"{kind} file {number} of seed {seed}: {what}")
            raise
        assert seconds < SECONDS, f"{kind} file {number} of seed {seed}: {seconds:.1f} s, {what}"
        slowest, ran = max(slowest, seconds), ran + (outcome == "ran")
    most = peak.bytes()
    assert most < BYTES, f"{most / 2**20:.0f} MiB"
    return f"{count} {kind}: {ran} ran, slowest {slowest:.2f} s, {most / 2**20:.0f} MiB more"


def main():
    """Run the campaigns."""
    parser = argparse.ArgumentParser(description=__doc__)
    for kind in ("damaged", "forged", "commands"):
        parser.add_argument(f"--{kind}", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        for kind in ("damaged", "forged", "commands"):
            print(campaign(kind, getattr(arguments, kind), arguments.seed, folder), flush=True)


if __name__ == "__main__":
    main()
