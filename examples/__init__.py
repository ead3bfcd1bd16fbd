"""Scripts and networks that use tilewright; run from the root of the repository."""
