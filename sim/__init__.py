"""Executors and models of a compiled program."""
