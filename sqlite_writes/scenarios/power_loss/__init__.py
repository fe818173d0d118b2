"""Power lost at every moment of a recorded run: which acknowledged rows SQLite no longer finds. Knows no asv.

recording.py has processes write under strace, disk.py says what may be left of their calls, replay.py opens that.
"""
