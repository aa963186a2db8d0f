"""How a candidate is trained: the recipe, one straight training loop, the proxy of a network."""
