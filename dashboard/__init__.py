"""What people see of asv's results: results → history → changes → answer → pages, each imports those before it only."""
