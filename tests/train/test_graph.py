"""What is recorded and replayed, with a stand-in for the GPU."""

import warnings

import pytest
import torch

from elastic_search.train.graph import WARM_UP_STEPS, Step, recorder_for
from tests.train.staging import Recorder


def added(step_of, inputs):
    """What a step that adds up its inputs has seen, and where they were."""
    seen, places = [], set()

    def train(at):
        seen.append(at.clone())
        places.add(at.data_ptr())

    step = step_of(train)
    for given in inputs:
        step(given)
    return seen, places, step


INPUTS = [torch.tensor([i, i + 1]) for i in range(8)]


def test_steps_after_the_first_are_replayed_on_the_same_tensors():
    recorder = Recorder()
    seen, places, step = added(lambda train: Step(train, recorder), INPUTS)
    assert recorder.calls == ["run"] * WARM_UP_STEPS + ["record"] + ["replay"] * (8 - WARM_UP_STEPS)
    assert all(torch.equal(a, b) for a, b in zip(seen, INPUTS, strict=True))
    assert len(places) == 1
    assert (step.state, step.first) == ("graph", WARM_UP_STEPS + 1)
    step.close()
    assert recorder.freed == 1
    assert step.state == "warming up"


def test_where_nothing_can_be_recorded_steps_run_one_by_one_and_it_is_said_once():
    recorder, cleared = Recorder(RuntimeError("operation not permitted\nand more")), []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen, _, step = added(lambda train: Step(train, recorder, lambda: cleared.append(1)), INPUTS)
    assert [str(one.message) for one in caught] == ["steps are not recorded as a CUDA graph: operation not permitted"]
    assert all(torch.equal(a, b) for a, b in zip(seen, INPUTS, strict=True))
    assert recorder.calls == ["run"] * WARM_UP_STEPS + ["record"]
    assert (recorder.freed, len(cleared), step.state) == (1, 2, "eager")


def test_fault_of_a_step_itself_is_not_hidden():
    def train(at):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        Step(train, Recorder())(INPUTS[0])


def test_nothing_is_recorded_off_cuda_or_where_it_is_off():
    assert recorder_for(torch.device("cpu"), "auto") is None
    assert recorder_for(torch.device("mps"), "auto") is None
    assert recorder_for(torch.device("cuda", 0), "off") is None
    seen, _, step = added(lambda train: Step(train, None), INPUTS)
    assert len(seen) == 8
    assert (step.state, step.first) == ("eager", 1)
