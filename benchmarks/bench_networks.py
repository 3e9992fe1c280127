"""asv: the cases of the group networks."""

from benchmarks import suites


class Networks(suites.Timing, group="networks"):
    """Seconds and peak memory, mmlfast and its rivals in one plot."""


class NetworksRatio(suites.Ratio, group="networks"):
    """How many times faster than each rival."""
