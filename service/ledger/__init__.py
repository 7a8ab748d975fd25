"""What happened: the service's own tables, the results kept for repeated requests, and the metrics."""
