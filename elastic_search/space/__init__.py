"""Which networks: choices, and the exact set of networks that meet a budget. NumPy, no torch."""
