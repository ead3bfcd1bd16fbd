"""Boards, and the way from an engine to a bitstream."""
