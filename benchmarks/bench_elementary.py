"""asv: the cases of the group elementary."""

from benchmarks import suites


class Elementary(suites.Timing, group="elementary"):
    """Seconds and peak memory, mmlfast and its rivals in one plot."""


class ElementaryRatio(suites.Ratio, group="elementary"):
    """How many times faster than each rival."""
