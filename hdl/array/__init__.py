"""The array: multipliers and accumulators."""
