"""From buffers to the windows that the array multiplies: picks, offsets, samples."""
