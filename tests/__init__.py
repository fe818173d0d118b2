"""One file a module, and the end-to-end ones; real files, real processes, real SQLite."""

import os
import sys

# Before anything of the project is imported: a run starts thousands of interpreters, and where no bytecode is kept,
# each of them compiles the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
