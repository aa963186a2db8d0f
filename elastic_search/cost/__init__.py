"""How much a network costs: exact integers, read from its graph. Never imports torch."""
