"""From accumulators to results: sums of tiles, requantization, tables."""
