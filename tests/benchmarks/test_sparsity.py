"""Pruned networks: what the table has, and that pruning and measuring go together."""

import pytest
import torch

from benchmarks import docs, sparsity


def test_table_has_fewer_cycles_the_fewer_weights():
    records = docs.figures("sparsity.json")["networks"]
    for chain in sparsity.CHAINS:
        found = [
            sparsity.Figures(**r["figures"])
            for r in records
            if (r["network"], r["width"]) == (chain.case.name, chain.case.width)
            and r["shape"] in ("", chain.shape)
        ]
        assert len(found) == 1 + len(sparsity.KEPT)
        found.sort(key=lambda figures: -figures.kept)
        cycles = [figures.cycles for figures in found]
        assert cycles == sorted(cycles, reverse=True)
        # Integers are as good as floats, pruned or not.
        assert all(abs(f.integer_correct - f.float_correct) < 0.005 * f.images for f in found)


def test_folds_are_one_network():
    a, b = (
        sparsity.Figures(0.5, 10, 9, 8, 100.0, 7.0),
        sparsity.Figures(0.3, 20, 18, 17, 200.0, 9.0),
    )
    whole = sparsity.together([a, b])
    assert (whole.images, whole.float_correct, whole.integer_correct) == (30, 27, 25)
    assert (whole.kept, whole.cycles, whole.bytes) == pytest.approx((0.4, 150.0, 8.0))


def test_share_is_of_layers_with_zeros():
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1), torch.nn.Conv2d(2, 2, 3))
    assert sparsity.share_kept(net) == 1
    net[1].weight.data[0] = 0
    assert sparsity.share_kept(net) == 0.5
