"""What the measured side's interpreter runs: its own standard library, that commit's package, and nothing else."""
