"""Tasks: what is learned, with which loss, and how success is measured."""
