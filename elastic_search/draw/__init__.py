"""A network, or a figure of the paper, as a picture: SVG, graphviz, Mermaid, an image, text."""
