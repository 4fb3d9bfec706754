"""A whole experiment: a benchmark, a program, scores before and after."""
