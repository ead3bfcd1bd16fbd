"""Files of inputs."""

import zipfile

import numpy as np
import pytest

import tilewright as tw
from tilewright.program import inputs
from tilewright.program.inputs import read_array, read_arrays


@pytest.mark.parametrize("order", ["C", "F"])
def test_reads_what_numpy_writes(tmp_path, order):
    array = np.asarray(np.arange(24.0).reshape(1, 2, 3, 4), order=order)
    np.save(tmp_path / "in.npy", array)
    np.testing.assert_array_equal(read_array(tmp_path / "in.npy"), array)


def test_an_array_must_be_as_long_as_it_says(tmp_path):
    path = tmp_path / "in.npy"
    np.save(path, np.zeros(64, np.uint8))
    data = path.read_bytes()
    for bad in (
        data[:-1],
        data.replace(b"(64,)", b"(1 << 40,)"),
        data.replace(b"'|u1'", b"'|O8'"),
        data.replace(b"(64,)", b"(-1,)"),
        data[:8],
        b"",
        b"PK\3\4",
        data.replace(b"(64,)", b"(99999999999999,)"),
    ):
        path.write_bytes(bad)
        with pytest.raises(tw.Error, match=r"not a .npy file"):
            read_array(path)
    with pytest.raises(tw.Error, match="not a regular file"):
        read_array("/dev/zero")


def test_reads_named_arrays(tmp_path):
    arrays = {"left": np.arange(6.0).reshape(2, 3), "labels": np.array([1, 2])}
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "in.npz", **arrays)
        read = read_arrays(tmp_path / "in.npz")
        assert read.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(read[name], array)


def test_an_archive_that_is_none_or_too_large(tmp_path, monkeypatch):
    path = tmp_path / "in.npz"
    np.savez_compressed(path, zeros=np.zeros(1000))
    data = path.read_bytes()
    for bad in (b"", data[:-9], data[:80] + bytes([data[80] ^ 8]) + data[81:], b"PK"):
        path.write_bytes(bad)
        with pytest.raises(tw.Error, match=r"not a .npz file"):
            read_arrays(path)
    np.savez(path, pickled=np.array([None]))
    with pytest.raises(tw.Error, match=r"not a .npz file: pickled"):
        read_arrays(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "text")
    with pytest.raises(tw.Error, match=r"its member 'readme.txt'"):
        read_arrays(path)
    path.write_bytes(data)
    monkeypatch.setattr(inputs, "MAX_INPUT_BYTES", 4096)
    with pytest.raises(tw.Error, match="its arrays have over 4096 bytes"):
        read_arrays(path)
