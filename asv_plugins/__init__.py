"""What asv needs from us: interpreters that start, and this machine registered; knows no benchmark and no page."""
