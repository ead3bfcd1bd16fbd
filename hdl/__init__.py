"""The accelerator, as Amaranth components."""
