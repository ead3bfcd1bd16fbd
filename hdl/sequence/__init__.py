"""What a compute command does next: passes, taps, segments, weights, one cycle after another."""
