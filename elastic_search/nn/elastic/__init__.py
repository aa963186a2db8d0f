"""A user's CNN made Elastic."""
