"""Speed, memory and accuracy beside the rivals: one registry of cases, `benchmarks.cases`."""
