"""Which commit made one metric worse: ``python -m pr_check.blame METRIC GOOD [BAD]``. Judges no pull request."""
