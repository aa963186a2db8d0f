"""How the search judges a network: by the training of its proxy."""
