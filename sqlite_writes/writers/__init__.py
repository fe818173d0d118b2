"""How a worker writes: our writers, by settings. Knows SQL, and no processes."""
