"""Weight words of columns in halves: which channel each is of."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.test_halves import ENGINE, PLAIN
from tilewright.isa.halves import joined, split_words


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 7, 8, 11])
@pytest.mark.parametrize("taps", [1, 6])
def test_words_are_those_of_the_same_channels(channels, taps):
    """Of four rows, steps have channels 0 and 2, 1 and 3."""
    rows, groups = 4, -(-channels // 4)
    last = channels - 4 * (groups - 1)
    weight = np.random.default_rng(channels).integers(-9, 9, (taps, 4 * groups, rows))
    weight[:, channels:] = 0
    parts = [weight[:, 4 * g : min(4 * g + 4, channels)].reshape(-1, rows) for g in range(groups)]
    words = split_words(np.concatenate(parts).astype(np.int16), taps, channels)
    command = replace(
        PLAIN, n_cg=groups, n_r=taps, segment=min(2, channels), last_segment=min(2, last)
    )
    alike, plain = joined(ENGINE, command, words[None])
    assert (alike.segment, alike.last_segment, alike.split) == (4, 4, 0)
    own = weight.reshape(taps, groups, 4, rows).swapaxes(0, 1)
    assert np.array_equal(plain.reshape(own.shape), own)


def test_of_few_channels_one_half_has_none():
    words = split_words(np.arange(1, 5, dtype=np.int16)[None], 1, 1)
    assert words.tolist() == [[1, 2, 3, 4], [0, 0, 0, 0]]
