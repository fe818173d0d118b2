"""A model of the line and the sync after it (docs/group_commit.md): world.py its state, steps.py what may happen.

search.py visits all of it; paths.py holds recorded runs of the real code to it. Knows nothing of the package but that.
"""
