"""What a network is: ops, graphs, splits and the families that build them.

This room uses the standard library only. The rooms for cost, modules and reports read
the graphs made here and never the other way round.
"""
