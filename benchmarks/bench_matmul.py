"""asv: the cases of the group matmul."""

from benchmarks import suites


class Matmul(suites.Timing, group="matmul"):
    """Seconds and peak memory, mmlfast and its rivals in one plot."""


class MatmulRatio(suites.Ratio, group="matmul"):
    """How many times faster than each rival."""
