"""A user's PyTorch module, read into a Graph: any network under every convention.

``torch.fx`` follows the module's Python code and keeps results that are never read. Where it fails (control flow that
depends on data), ``torch.export`` records one run, without such results. Either way no weight is read and nothing is
multiplied. The graph is nested like the modules and is valid for the input size at which it was read.

A tensor [1, C, H, W] is a Shape; [1, C] is C×1×1 and [1, A, B] is A×1×B; the first of more axes are merged.

An operation without a converter becomes an ``Opaque`` node, which counts as zero and is listed by ``opaque_nodes``
until ``register_rule`` gives its cost. Parameters that no operation reads are in a dead node ``unused``.
"""
