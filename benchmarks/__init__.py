"""What asv runs: always the working tree's files, against every commit's sqlite_writes."""
