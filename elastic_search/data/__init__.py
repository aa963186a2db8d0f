"""The proxy task's data: real Fashion-MNIST objects, and scenes that show them at varied scale."""
