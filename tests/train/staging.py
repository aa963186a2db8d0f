"""What tests of trainings share."""


class Recorder:
    """As a CUDA graph: what is recorded does not run, and is replayed on the same tensors."""

    def __init__(self, fault=None):
        self.fault, self.calls, self.freed = fault, [], 0

    def run(self, step):
        self.calls.append("run")
        step()

    def record(self, step):
        self.calls.append("record")
        if self.fault:
            raise self.fault
        return lambda: (self.calls.append("replay"), step())

    def free(self):
        self.freed += 1
