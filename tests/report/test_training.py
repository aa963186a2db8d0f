"""What ``flops --training`` reports."""

import pytest

from elastic_search.arch.network import Network
from elastic_search.arch.ops import image
from elastic_search.arch.zoo import published
from elastic_search.cost.memory import memory
from elastic_search.report.training import training_report


def networks():
    return [Network(name, published(name).graph()) for name in ("dla_x60", "dla_x60_elastic")]


def test_table_says_what_the_tool_gets_wrong_and_what_does_not_run():
    table = training_report(networks(), image(224, 224), 32, "bf16", "adamw")
    cells = {row["quantity"]: row["value_0"] for row in table.rows if row}
    assert (cells["forward, per image"], cells["both, per batch"]) == ("7.033", "667.626")
    notes = "\n".join(table.notes)
    assert "level3.project, level4.project, level4.tree1.project" in notes
    assert "14.335 for dla_x60" in notes


def test_list_and_json_hold_the_same_integers():
    args = (networks(), image(224, 224), 4, "fp16", "sgd")
    report = training_report(*args)
    data, rows = report.document(), report.records
    listed = {(row["network"], row["quantity"]): row["value"] for row in rows}
    for entry in data["networks"]:
        both = {**entry["flops"], **entry["memory"]}
        assert both.keys() - {"grad_input", "grad_weight", "torch_backward"} == {key for _, key in {*listed}}
        assert all(listed[entry["name"], key] == both[key] for name, key in listed if name == entry["name"])
    held = memory(networks()[0].graph, image(224, 224), 4, 2, "sgd")
    assert data["networks"][0]["memory"]["total_training"] == held.total_training
    assert data["ratio"]["flops"]["total"] == pytest.approx(17962328064 / 20863303680)
