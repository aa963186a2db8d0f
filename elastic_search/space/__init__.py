"""Which networks: choices, and the exact set of them that meets a budget. NumPy, no torch."""
