"""The most memory that a piece of code needs, whatever the process needed before it."""

from pathlib import Path

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


class Peak:
    """Measure resident memory from construction on.

    The kernel's own high-water mark is set back to what is resident now (``man 5 proc``,
    ``clear_refs``): ``getrusage`` cannot be, and in a process that has run other tests it
    holds their peak.
    """

    def __init__(self):
        CLEAR.write_text("5")
        self._before = self._high()

    def bytes(self):
        """Return how much more than at the start was resident at the most."""
        return self._high() - self._before

    @staticmethod
    def _high():
        line = next(x for x in STATUS.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
