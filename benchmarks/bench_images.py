"""asv: the cases of the group images."""

from benchmarks import suites


class Images(suites.Timing, group="images"):
    """Seconds and peak memory, mmlfast and its rivals in one plot."""


class ImagesRatio(suites.Ratio, group="images"):
    """How many times faster than each rival."""
