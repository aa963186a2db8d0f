"""What an evaluator chooses by measuring is recorded once, and every later one of the run is made with it."""

from elastic_search.files import parse_space
from elastic_search.search.evaluator import Named
from elastic_search.search.run import search
from elastic_search.search.store.folder import RunFolder
from tests.search.staging import TEXT, Trainer

SPACE = parse_space(TEXT, "small", "small.toml")
MADE = []


class Measuring(Trainer):
    """Chooses a layout, unless it is told one."""

    def __init__(self, layout=None):
        super().__init__()
        self._layout, self._measured = layout, None

    @property
    def chosen(self):
        found = self._layout or self._measured
        return {} if found is None else {"layout": found}

    def pace(self, spec):
        self._measured = "channels_last"
        return 0.1


def make(layout=None, worker=0):
    MADE.append(layout)
    return Measuring(layout)


def test_choice_of_the_first_start_is_recorded_and_used_by_later_ones(tmp_path):
    MADE.clear()
    named = Named(f"{__name__}:make", {})
    options = {"root": tmp_path, "name": "one", "counter": None}
    search(SPACE, named, trials=1, **options)
    folder = RunFolder(tmp_path, "one")
    assert folder.chosen() == {"layout": "channels_last"}
    search(SPACE, named, trials=2, **options)
    assert MADE == [None, "channels_last"]
    folder.choose({"layout": "contiguous"})
    assert folder.chosen() == {"layout": "channels_last"}


def test_evaluator_that_chooses_nothing_leaves_no_record(tmp_path):
    search(SPACE, Trainer(), trials=1, root=tmp_path, name="one", counter=None)
    assert not (tmp_path / "one" / "device.json").exists()
