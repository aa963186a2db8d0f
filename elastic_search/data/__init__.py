"""Images to train on: those of a user, decoded once into a cache, and scenes made of embedded Fashion-MNIST objects."""
