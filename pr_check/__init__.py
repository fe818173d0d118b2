"""The check of a pull request: build base and head, sample both in random order, judge, report; README.md says how."""
