"""Which network to try next."""

STRATEGIES = ("feasible-tpe", "feasible-gp", "uniform", "evolution")
"""Names of the strategies, the default first; ``strategies`` defines them."""
