"""Files of inputs."""

import numpy as np
import pytest

import tilewright as tw
from tilewright.program.inputs import read_array


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
