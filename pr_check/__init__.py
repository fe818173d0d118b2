"""The check of a pull request: build two commits, sample in random order, judge, report; docs/the_check.md says how."""
