"""What a command waits for."""

import random

from tilewright.sim.waits import STALL_CAUSES, Waits, complete, stalls

COUNTS = 1 << 16


def test_a_count_is_of_the_commands_that_it_can_mean():
    assert complete(0, 0, 16) == 0
    assert complete(3, 3, 16) == 3
    assert complete(3, 10, 16) == 3
    assert complete(4, 3, 16) is None
    # Past the end of the counts, small ones are of late commands.
    assert complete(2, COUNTS + 1, 16) is None
    assert complete(2, COUNTS + 2, 16) == COUNTS + 2
    assert complete(COUNTS - 1, COUNTS + 2, 16) == COUNTS - 1


def test_a_count_survives_its_modulus():
    rng = random.Random(0)
    for _ in range(1000):
        done = rng.randrange(4 * COUNTS)
        needed = max(0, done + rng.randrange(-COUNTS // 2 + 1, COUNTS // 2))
        expected = needed if needed <= done else None
        assert complete(needed % COUNTS, done, 16) == expected, (needed, done)


def test_every_cycle_of_waiting_has_one_cause():
    for seed in range(200):
        rng = random.Random(seed)
        waits = Waits(
            queue=rng.randrange(100),
            loads=rng.choice((0, rng.randrange(100))),
            stores=rng.choice((0, rng.randrange(100))),
            fence=rng.choice((0, rng.randrange(100))),
            weights=rng.random() < 0.5,
        )
        free = rng.randrange(100)
        start = max(free, waits.ready)
        causes = stalls(waits, free, start)
        assert set(causes) == set(STALL_CAUSES), f"seed {seed}"
        assert min(causes.values()) >= 0, f"seed {seed}"
        assert sum(causes.values()) == start - free, f"seed {seed}"


def test_the_first_cause_in_the_counters_order_has_the_cycle():
    waits = Waits(queue=10, loads=30, stores=25, fence=50)
    assert stalls(waits, 5, 50) == {
        "commands": 5, "activations": 20, "weights": 0, "stores": 0, "results": 20
    }  # fmt: skip
    late = Waits(queue=10, loads=20, stores=40, weights=True)
    assert stalls(late, 0, 40) == {
        "commands": 10, "activations": 0, "weights": 10, "stores": 20, "results": 0
    }  # fmt: skip
