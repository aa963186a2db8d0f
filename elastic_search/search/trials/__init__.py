"""Ask, train, tell: the loop of a search, its time and its rungs."""
