"""asv: import and first calls, each in a fresh process."""

from benchmarks import suites


class Startup(suites.Timing, group="startup"):
    """Seconds of a new process, mmlfast and what it is compared with."""

    number = 1
    repeat = 7
    peakmem_call = None  # the process that is measured here only waits
