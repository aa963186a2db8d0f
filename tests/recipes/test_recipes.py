import json
from fractions import Fraction

from elastic_search.files import load_space
from elastic_search.files.space_schema import SpaceModel
from elastic_search.recipes import Proxy, Training, recipe_dict, recipe_from


def test_recipe_survives_json_and_has_the_keys_of_a_space_file():
    proxy = Proxy(Fraction(1, 3), "imagenet", 96)
    training = Training(3, 40, 20, 30, 16, 8, "muon", 0.125, 0.02, 0.1, 0.3, False, 2, 0.99, "cosine",
                        0.8, 0.2, "f1")  # fmt: skip
    plain = json.loads(json.dumps(recipe_dict(proxy, training)))
    assert recipe_from(plain) == (proxy, training)
    assert list(plain) == list(type(SpaceModel.model_fields["proxy"].default).model_fields)


def test_recipe_of_before_reads_as_it_was_recorded():
    """Recorded tables and unfinished checkpoints name the recipe with the keys that there were."""
    keys = ("epochs", "train_images", "test_images", "batch", "learning_rate", "weight_decay")
    assert tuple(recipe_dict(Proxy(), Training())) == ("width", "stem", "input", *keys)
    assert recipe_from(recipe_dict(Proxy(), Training(epochs=2))) == (Proxy(), Training(epochs=2))


def test_space_file_without_a_proxy_gets_the_defaults():
    assert recipe_from(dict(SpaceModel.model_fields["proxy"].default)) == (Proxy(), Training())


def test_plan_tells_its_recipe():
    plan = load_space("demo")
    assert recipe_from(plan.recipe) == (plan.proxy, plan.training)
