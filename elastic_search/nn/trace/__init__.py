"""A user's PyTorch module, read into a Graph: any network under every convention.

``torch.fx`` follows the module's Python and keeps what it computes in vain; where it cannot (control flow that depends
on data), ``torch.export`` records one run, and what is computed in vain is gone. Either way no weight is read and
nothing is multiplied. The graph nests as the modules do and holds at the input size at which it was read.

A tensor [1, C, H, W] is a Shape; [1, C] is C×1×1 and [1, A, B] is A×1×B; the first of more axes are merged.

An operation without a converter becomes an ``Opaque`` node: worth nothing, and listed by ``opaque_nodes`` until
``register_rule`` says what it costs. Parameters that no operation reads stand in a dead node ``unused``.
"""
