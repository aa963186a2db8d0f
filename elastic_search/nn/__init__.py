"""A graph as a torch module that trains, and its counts by independent tools. Needs the ``search`` extra."""
