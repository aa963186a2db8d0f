"""A user's PyTorch module, read into a Graph: any network under every convention.

The module runs once, with its own code, on tensors that have no numbers (``hollow``). Every call of a module and of a
function is heard (``recorder``), with the operators that it runs (``dispatched``), and becomes a node (``reader``): so
what is counted is what runs, and results that are never read are there too. Code that asks for a number, in a branch
that depends on the image, runs on zeros instead. The graph is nested like the modules (``nesting``) and is valid for
the input size at which it was read.

A tensor [1, C, H, W] is a Shape; [1, C] is C×1×1 and [1, A, B] is A×1×B; the first of more axes are merged.

An operation of which nobody knows what it multiplies, such as a custom operator, becomes an ``Opaque`` node, which
counts as zero and is listed by ``opaque_nodes`` until ``register_rule`` gives its cost. Parameters that no operation
reads are in a dead node ``unused``.
"""
