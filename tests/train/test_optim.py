from dataclasses import replace

import pytest

from elastic_search.recipes import Training
from elastic_search.train.optim import learning_rate


def test_learning_rate_rises_to_its_peak_and_falls_to_zero():
    training = replace(Training(), learning_rate=0.5)
    rates = [learning_rate(step, 100, training) for step in range(100)]
    assert rates.index(max(rates)) == 39
    assert max(rates) == pytest.approx(0.5)
    assert rates[0] < 0.02
    assert rates[-1] < 0.01
