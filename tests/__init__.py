"""One file a module, and the end-to-end ones; real files, real processes, real SQLite."""
