"""What people see of the results, and what asv needs to get them: plugins for asv, and the answer in the terminal."""
