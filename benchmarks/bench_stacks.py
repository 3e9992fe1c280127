"""asv: the cases of the group stacks."""

from benchmarks import suites


class Stacks(suites.Timing, group="stacks"):
    """Seconds and peak memory, mmlfast and its rivals in one plot."""


class StacksRatio(suites.Ratio, group="stacks"):
    """How many times faster than each rival."""
