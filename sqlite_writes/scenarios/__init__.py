"""What only the benchmarks need: the naive way, reading before writing, exact costs, memory. Not for users."""
