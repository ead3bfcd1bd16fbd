"""Files that are damaged or forged: one line of what is wrong, and little memory."""

import struct
from pathlib import Path

import numpy as np
import pytest

import tilewright as tw
from tests.compiler.importers.tflite.files import File
from tests.peak import Peak
from tilewright.compiler.importers.tflite import import_tflite
from tilewright.errors import Error

KWS = Path(__file__).parents[4] / "examples" / "mlperf_tiny" / "models" / "kws.tflite"


def test_any_damage_is_an_error_or_a_network():
    """Bytes of the tables, which lie at both ends, anything else; and files cut off."""
    whole = KWS.read_bytes()
    rng = np.random.default_rng(0)
    tables = np.r_[0:64, len(whole) - 14000 : len(whole)]
    texts = []
    for seed in range(150):
        data = bytearray(whole)
        for _ in range(int(rng.integers(1, 12))):
            place = int(rng.choice(tables))
            value = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))
            data[place] = value
        if seed % 10 == 0:
            del data[int(rng.integers(len(data))) :]
        texts.append(refusal(bytes(data)))
    refused = [text for text in texts if text is not None]
    assert len(refused) > 50
    assert not [text for text in refused if "\n" in text or len(text) > 1500]


def refusal(data):
    """Return what is wrong with a file, or None."""
    try:
        import_tflite(data)
    except Error as error:
        return str(error)
    return None


def file_with(shape, **fields):
    file = File()
    x = file.tensor(shape, 0.1, 0)
    y = file.tensor(shape, 0.1, 0)
    file.op("RELU", [x], [y])
    for name, value in fields.items():
        setattr(file.graph.tensors[1], name, value)
    return file, x, y


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda f: setattr(f.graph.tensors[0], "shape", [1, 1 << 15, 1 << 16]), "at most"),
        (lambda f: setattr(f.graph.tensors[0], "shape", [1, -4]), "of the shape"),
        (lambda f: setattr(f.graph.tensors[0], "shape", [1] * 9), "of the shape"),
        (lambda f: setattr(f.graph.tensors[0], "buffer", 77), "is damaged"),
        (lambda f: setattr(f.graph.operators[0], "inputs", [5]), "there is no tensor 5"),
        (lambda f: setattr(f.graph.operators[0], "inputs", [1]), "not computed before"),
        (lambda f: setattr(f.graph.operators[0], "inputs", []), "operand 0 of RELU is missing"),
        (lambda f: setattr(f.graph.operators[0], "opcodeIndex", 9), "is damaged"),
        (lambda f: f.model.subgraphs.append(f.graph), "has 2 subgraphs"),
        (lambda f: setattr(f.graph, "operators", f.graph.operators * 70000), "more than 65536"),
        (lambda f: setattr(f.graph, "operators", f.graph.operators * 2), "a second time"),
        (lambda f: setattr(f.graph.tensors[0].quantization, "scale", [float("nan")]), "scale"),
        (lambda f: setattr(f.graph.tensors[0].quantization, "zeroPoint", [1 << 40]), "zero point"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(change, text):
    file, x, y = file_with((1, 4))
    change(file)
    with pytest.raises(Error, match=text) as error:
        import_tflite(file.data([x], [y]))
    assert "\n" not in str(error.value)


def test_names_are_shown_on_one_line():
    file, x, y = file_with((1, 4), name=b"a\nb\x1b[2J\xff" + b"c" * 5000)
    file.graph.operators[0].inputs = []
    with pytest.raises(Error, match=r"^a\?b\?\[2J.c+\.\.\.: operand 0") as error:
        import_tflite(file.data([x], [y]))
    assert len(str(error.value)) < 300


def test_many_tensors_of_one_buffer_take_little_memory():
    """Two hundred weights that share a megabyte; all that is read would be one GB in floats."""
    file = File()
    x = file.tensor((1, 1024), 0.1, 0)
    shared = file.tensor((1024, 1024), 0.1, 0, np.ones((1024, 1024), np.int8))
    source = x
    for _ in range(200):
        w = file.tensor((1024, 1024), 0.1, 0)
        file.graph.tensors[w].buffer = file.graph.tensors[shared].buffer
        y = file.tensor((1, 1024), 0.1, 0)
        file.op("FULLY_CONNECTED", [source, w, -1], [y], "FullyConnectedOptions", 4)
        source = y

    data, peak = file.data([x], [source]), Peak()
    with pytest.raises(Error, match="more than 33554432 constants"):
        import_tflite(data)
    assert peak.bytes() < 300 << 20


def test_files_of_other_kinds_are_named(tmp_path):
    path = tmp_path / "net.tflite"
    for content in (b"", b"TFL3", b"x" * 100, struct.pack("<I", 1 << 31) + b"TFL3" + bytes(8)):
        path.write_bytes(content)
        with pytest.raises(Error, match="TFLite file"):
            tw.read_tflite(path)
    with pytest.raises(Error, match="cannot read"):
        tw.read_tflite(tmp_path / "none.tflite")
    with pytest.raises(Error, match="host must be one of"):
        tw.read_tflite(path, host="somewhere")
