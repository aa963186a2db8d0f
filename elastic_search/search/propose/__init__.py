"""Which network is tried next."""

STRATEGIES = ("feasible-tpe", "feasible-gp", "uniform", "evolution")
"""Names of the strategies, the default first; ``strategies`` has what they are."""
