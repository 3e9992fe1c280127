"""asv: the cases of the group graph."""

from benchmarks import suites


class Graph(suites.Timing, group="graph"):
    """Seconds and peak memory, mmlfast and its rivals in one plot."""


class GraphRatio(suites.Ratio, group="graph"):
    """How many times faster than each rival."""
