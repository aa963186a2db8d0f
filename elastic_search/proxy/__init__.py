"""How the search judges a network: by training its proxy."""
