"""asv: the cases of the group regressions."""

from benchmarks import suites


class Regressions(suites.Timing, group="regressions"):
    """Seconds and peak memory, mmlfast and its rivals in one plot."""


class RegressionsRatio(suites.Ratio, group="regressions"):
    """How many times faster than each rival."""
