"""How a network is trained: one straight epoch, the optimiser, the device, a training that can be gone on with."""
