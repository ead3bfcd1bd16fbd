"""The store unit: results to memory."""
