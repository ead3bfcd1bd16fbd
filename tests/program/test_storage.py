"""A program file is data, whatever its bytes: only tilewright.Error, in little time and memory."""

import json
import os
import time
import zipfile

import pytest

import tilewright as tw
from tests.peak import Peak
from tests.program import forge

FULL = bool(os.environ.get("TILEWRIGHT_FUZZ"))  # the counts of a release
COUNTS = {"damaged": (2000, 100), "forged": (1000, 100), "commands": (1000, 60)}


@pytest.fixture(scope="module")
def small():
    program, _, data = forge.small_program()
    return program, forge.unpack(data)


@pytest.mark.parametrize("kind", COUNTS)
def test_only_errors_for_bad_files(kind, tmp_path):
    full, some = COUNTS[kind]
    forge.campaign(kind, full if FULL else some, 14, tmp_path)


def refused(path, match):
    """Load a file, which must be refused at once and cheaply."""
    peak = Peak()
    start = time.monotonic()
    with pytest.raises(tw.Error, match=match):
        tw.Program.load(path)
    assert time.monotonic() - start < 5
    assert peak.bytes() < 300 << 20


def zipped(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def test_devices_pipes_and_folders_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe", tmp_path):
        refused(path, "not a regular file")
    refused("a\0b", "zero in it")


@pytest.mark.parametrize(
    ("length", "match"),
    [(1 << 30, "manifest.json has 1073741824 bytes; at most"), (10, "CRC|has not the")],
)
def test_a_member_of_another_length_than_its_header_says_is_refused(small, tmp_path, length, match):
    bomb = {**small[1], "manifest.json": bytes(1 << 24)}
    data = bytearray(zipped(tmp_path / "net.tw", bomb.items()).read_bytes())
    place = data.index(b"PK\x01\x02") + 24  # the first member's length in the directory
    data[place : place + 4] = length.to_bytes(4, "little")
    (tmp_path / "net.tw").write_bytes(data)
    refused(tmp_path / "net.tw", match)


def test_archives_of_many_members_are_refused_unread(small, tmp_path):
    many = [(str(i), b"") for i in range(1000)]
    refused(zipped(tmp_path / "many.tw", many), "not a Tilewright program")
    twice = [*small[1].items(), ("graph.txt", b"")]
    with pytest.warns(UserWarning, match="Duplicate"):
        refused(zipped(tmp_path / "twice.tw", twice), "4 members")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused(small, tmp_path, method):
    refused(zipped(tmp_path / "x.tw", small[1].items(), method), "compressed by method")


@pytest.mark.parametrize(
    "line",
    [
        "  weight = array int8 [65536, 65536] eJwDAAAAAAE=",
        "  requantize.shift = [0] * 99999999",
        "  requantize.shift = " + "[" * 100_000,
        'value "huge" shape=[65536, 65536, 65536] bits=8 signed=false scale=1.0 zero_point=0',
        'value "long" shape=[' + "9" * 6000 + ", 1, 1] bits=8 signed=false scale=1.0 zero_point=0",
        "\n" * (1 << 20),
    ],
    ids=["array", "repeat", "nested", "value", "digits", "lines"],
)
def test_graphs_that_stand_for_more_than_their_text_are_refused(small, tmp_path, line):
    members = dict(small[1])
    lines = members["graph.txt"].decode().split("\n")
    at = 2 if line.startswith("value") else next(i for i, x in enumerate(lines) if "shift" in x)
    lines[at : at + 1] = [line]
    members["graph.txt"] = "\n".join(lines).encode()
    (tmp_path / "net.tw").write_bytes(forge.pack(members))
    refused(tmp_path / "net.tw", "line")


def test_a_graph_without_multipliers_is_refused(small, tmp_path):
    """Nothing could be computed with it."""
    members = dict(small[1])
    lines = members["graph.txt"].decode().split("\n")
    at = next(i for i, x in enumerate(lines) if "requantize.multiplier" in x)
    (channels,) = {op.requantize.channels for op in small[0].graph.layers}
    lines[at : at + 2] = [f"  requantize.factor = [0.3] * {channels}"]
    members["graph.txt"] = "\n".join(lines).encode()
    (tmp_path / "net.tw").write_bytes(forge.pack(members))
    refused(tmp_path / "net.tw", "factors where a program has multipliers")


def change(members, edit):
    manifest = json.loads(members["manifest.json"])
    edit(manifest)
    return forge.pack({**members, "manifest.json": json.dumps(manifest).encode()})


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda m: m.update(boot_count=2**63), "boot_count"),
        (lambda m: m.update(boot_count=0), "boot_count"),
        (lambda m: m.update(boot_count=2), "load command 2 is not fetched|fetches"),
        (lambda m: m["streams"].update(load=[0, (1 << 20) + 1]), "streams.load"),
        (lambda m: m["streams"].update(store=[m["streams"]["store"][0], 9]), "store command"),
        (lambda m: m["engine"].update(rows=8.0), "engine.rows"),
        (lambda m: m["engine"].update(rows=True), "rows must be int, not True"),
        (lambda m: m["engine"].update(colour=1), "no parameter 'colour'"),
        (lambda m: m["memory_timing"].update(read_latency=0), "read_latency must be in"),
        (lambda m: m.update(clock_mhz=0), "clock_mhz"),
        (lambda m: m.update(board="nowhere"), "no board 'nowhere'"),
        (lambda m: m.update(addresses={}), "addresses of"),
        (lambda m: m["addresses"].update({k: 1 << 27 for k in m["addresses"]}), "of a memory of"),
        (lambda m: m["orders"].update({k: [0, 0] for k in m["orders"]}), "its order"),
        (lambda m: m["pixels"].update({"nobody": 1}), "pixels of"),
        (lambda m: m.update(layers=[]), "works for layer"),
        (lambda m: m.update(extra=1), "extra"),
    ],
)
def test_manifests_that_contradict_themselves_are_refused(small, tmp_path, edit, match):
    (tmp_path / "net.tw").write_bytes(change(small[1], edit))
    refused(tmp_path / "net.tw", match)


def test_what_could_not_be_loaded_is_not_saved(small, tmp_path, monkeypatch):
    monkeypatch.setitem(tw.program.storage.LIMITS, "memory.bin", 10)
    with pytest.raises(tw.Error, match=r"memory.bin has"):
        small[0].save(tmp_path / "net.tw")
    assert not list(tmp_path.iterdir())
