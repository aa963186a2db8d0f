"""How results look: tables on a terminal, plain text in a pipe, and the machine formats."""
