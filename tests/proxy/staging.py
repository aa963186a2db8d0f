"""What tests of evaluators share."""

from elastic_search.search.evaluator import Monitor, Verdict


class Keeper(Monitor):
    """Keeps every epoch and the last checkpoint; gives the verdicts in turn, and then lets the training go on.

    ``step`` raises ``fault`` at its ``fails_at``-th call, counted from 1.
    """

    def __init__(self, checkpoint=None, verdicts=(), fails_at=None, fault=None):
        self.checkpoint, self.verdicts = checkpoint, list(verdicts)
        self.fails_at, self.fault = fails_at, fault
        self.steps, self.epochs, self.kept = 0, [], []

    def step(self):
        self.steps += 1
        if self.steps == self.fails_at:
            raise self.fault

    def epoch(self, result, checkpoint):
        self.epochs.append(result)
        self.kept.append(checkpoint)
        self.checkpoint = checkpoint
        return self.verdicts.pop(0) if self.verdicts else Verdict.GO_ON
