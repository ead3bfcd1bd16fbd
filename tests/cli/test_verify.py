"""``tilewright verify``."""

import numpy as np

from tests.cli.run import invoke, refused


def test_verify_compares_all_executors(small):
    assert "golden == isa == rtl: 360 output elements" in invoke("verify", small)


def test_verify_refuses_inputs_that_do_not_fit(capsys, small, tmp_path):
    np.save(tmp_path / "in.npy", np.full((1, 3, 6, 6), 1000))
    message = refused(capsys, "verify", small, "--inputs", tmp_path / "in.npy")
    assert "must be in -128..127, not 1000..1000" in message
