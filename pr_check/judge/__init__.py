"""From evidence to findings and one verdict, with the cause of each in words; knows no processes and no Markdown."""

from .verdict import import_failure, judge_evidence

__all__ = ["import_failure", "judge_evidence"]
