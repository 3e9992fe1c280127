"""What one core does to one block of a matrix; no policy."""
