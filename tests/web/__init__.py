"""Real web servers, frameworks, workers and brokers."""
