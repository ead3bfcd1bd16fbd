"""Files of quantized networks: the same network comes back, and whatever a file holds is data."""

import hashlib
import json
import math
import os
import random
import struct

import pytest
import torch
from torch import nn

import tilewright as tw
from tests.peak import Peak
from tests.test_quantization import Curved, Decoder, Gated, Mixed, Moving, batches, network
from tilewright.quantization.storage import MAGIC

FORGED = int(os.environ.get("FORGED_FILES", "150"))
torch.set_num_threads(1)


def quantized(block):
    """Return a quantized network; of any accuracy, since only its file is looked at."""
    return tw.quantize(network(block), batches(1), least_snr_db=-math.inf)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Return a small network's file: convolutions, a table, a sum, a result by index."""

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(2, 4, 1)

        def forward(self, x):
            y = nn.functional.silu(self.a(x)) + self.b(x).clamp(min=-0.5)
            return nn.functional.max_pool2d(y, 2).permute(0, 2, 3, 1)

    torch.manual_seed(0)
    model = tw.quantize(Small().eval(), [torch.randn(4, 2, 6, 6)])
    return model.save(tmp_path_factory.mktemp("quantized") / "q.pt")


@pytest.mark.parametrize("block", [Mixed, Decoder, Curved, Gated, Moving])
def test_the_same_network_comes_back(block, tmp_path):
    model = quantized(block)
    loaded = tw.QuantizedModel.load(model.save(tmp_path / "q.pt"))
    assert str(loaded) == str(model)
    assert loaded.single == model.single
    (images,) = batches(1)
    results = (y if isinstance(y, tuple) else (y,) for y in (model(images), loaded(images)))
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)
    loaded.save(tmp_path / "again.pt")
    assert (tmp_path / "again.pt").read_bytes() == (tmp_path / "q.pt").read_bytes()


def test_damage_is_an_error(file, tmp_path):
    data, path = file.read_bytes(), tmp_path / "bad.pt"
    generator = random.Random(0)
    for _ in range(100):
        bad = bytearray(data)
        place = generator.randrange(len(data))
        bad[place] ^= 1 << generator.randrange(8)
        path.write_bytes(bad if generator.random() < 0.5 else data[:place])
        with pytest.raises(tw.Error, match=r"it is damaged|is no quantized network"):
            tw.QuantizedModel.load(path)


def write(path, header, arrays):
    """Write a file with a checksum that is right."""
    text = json.dumps(header).encode()
    body = MAGIC + struct.pack("<Q", len(text)) + text + arrays
    path.write_bytes(body + hashlib.sha256(body).digest())


def parts(data):
    """Return a file's header and its arrays."""
    start = len(MAGIC) + 8
    end = start + struct.unpack_from("<Q", data, len(MAGIC))[0]
    return json.loads(data[start:end]), data[end:-32]


def places(tree, path=()):
    """Yield the way to everything in a header."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in entries:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


FOREIGN = [
    *(None, True, 0, -1, 1, 3, 1 << 20, 1 << 70, 0.5, -1e308, "", "inf", "x", [], [[]], {}, [0, 0]),
    *([1 << 30] * 4, {"array": 0}, {"array": 99}, {"argument": "x"}, {"apply": "relu", "to": []}),
    {"apply": "__import__", "to": ["os"]},
]


def test_what_is_forged_is_an_error_or_a_network(file, tmp_path):
    data, path = file.read_bytes(), tmp_path / "forged.pt"
    refused = 0
    for seed in range(FORGED):
        generator = random.Random(seed)
        header, arrays = parts(data)
        *way, last = generator.choice(list(places(header)))
        entry = header
        for key in way:
            entry = entry[key]
        entry[last] = generator.choice(FOREIGN)
        write(path, header, arrays)
        try:
            model = tw.QuantizedModel.load(path)
            tw.compile(model, None, tw.Target(engine=tw.EngineConfig(rows=4, cols=4, tables=4)))
        except tw.Error:
            refused += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}: {way} {last} = {entry[last]!r}") from error
    assert refused > FORGED / 2


def test_what_torch_saves_is_not_read(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "q.pt")
    with pytest.raises(tw.Error, match=r"torch.save writes other files, which can run code"):
        tw.QuantizedModel.load(tmp_path / "q.pt")
    with pytest.raises(tw.Error, match="not a regular file"):
        tw.QuantizedModel.load("/dev/zero")


def test_sizes_are_told_before_anything_is_computed(file, tmp_path):
    header, arrays = parts(file.read_bytes())
    header["graph"]["input_shapes"] = [[2, 6000, 6000]]
    write(tmp_path / "large.pt", header, arrays)
    with pytest.raises(tw.Error, match="an input of"):
        tw.QuantizedModel.load(tmp_path / "large.pt")


def test_a_function_is_one_of_the_table(file, tmp_path):
    header, arrays = parts(file.read_bytes())
    (op, *_) = (op for op in header["graph"]["ops"] if op["kind"] == "Function")
    op["expression"] = {"apply": "__import__", "to": [{"argument": "x"}]}
    write(tmp_path / "forged.pt", header, arrays)
    with pytest.raises(tw.Error, match="there is no function '__import__'"):
        tw.QuantizedModel.load(tmp_path / "forged.pt")


def test_a_file_costs_no_more_memory_than_its_network(file, tmp_path):
    """256 MiB that are no arrays: with a wrong checksum, and with a right one."""
    path, size = tmp_path / "long.pt", 1 << 28
    header, arrays = parts(file.read_bytes())
    with path.open("wb") as long:
        long.write(MAGIC)
        long.truncate(size)
    peak = Peak()
    with pytest.raises(tw.Error, match="it is damaged: its checksum is wrong"):
        tw.QuantizedModel.load(path)
    assert peak.bytes() < size / 4
    text = json.dumps(header).encode()
    checksum = hashlib.sha256()
    with path.open("wb") as long:
        for part in (MAGIC, struct.pack("<Q", len(text)), text, arrays, *[bytes(1 << 20)] * 256):
            checksum.update(part)
            long.write(part)
        long.write(checksum.digest())
    peak = Peak()
    with pytest.raises(tw.Error, match=r"arrays of \d+ bytes in \d+"):
        tw.QuantizedModel.load(path)
    assert peak.bytes() < size / 4
