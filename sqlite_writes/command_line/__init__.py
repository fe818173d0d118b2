"""The command ``sqlite-writes``: its options, what it prints, and every way in which it ends.

A room of its own that nothing else imports, because only here click, rich and matplotlib are used: what asv measures
needs nothing but the standard library. This file imports none of them, since fresh processes import writers.py.
"""
