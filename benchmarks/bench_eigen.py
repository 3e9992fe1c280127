"""asv: the cases of the group eigen."""

from benchmarks import suites


class Eigen(suites.Timing, group="eigen"):
    """Seconds and peak memory, mmlfast and its rivals in one plot."""


class EigenRatio(suites.Ratio, group="eigen"):
    """How many times faster than each rival."""
