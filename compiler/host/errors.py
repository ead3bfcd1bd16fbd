"""What is wrong with a part for the host."""

from tilewright.errors import Error


class HostError(Error):
    """A part for the host is no model that is taken, or it fails."""
