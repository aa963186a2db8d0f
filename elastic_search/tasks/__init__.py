"""Tasks: what is learned, by which loss, and how well, by which measure."""
