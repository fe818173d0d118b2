"""How the check of a pull request samples our classes, where asv's own way is too coarse. Judges nothing.

The classes name these functions in their ``check_samples``: docs/the_check.md says how. asv finds no benchmark here.
"""
