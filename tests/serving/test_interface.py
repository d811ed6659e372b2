"""lakegate/serving/interface.py: what a client's code depends on may not change unnoticed."""

from dataclasses import replace

import pytest

from lakegate.catalog import parse_model
from lakegate.errors import BadDeclaration, GateFailed
from lakegate.serving.interface import ServedInterface, ServedTensor, interface_change, require_interface

OLD = ServedInterface(
    inputs=(ServedTensor("encoded", "TYPE_STRING", (1,)), ServedTensor("image", "TYPE_UINT8", (-1, -1, 3))),
    outputs=(ServedTensor("boxes_xyxy_px", "TYPE_FP32", (100, 4)), ServedTensor("labels", "TYPE_INT32", (100,))),
    labels=("RBC", "WBC"),
)


def test_the_order_of_tensors_is_no_change():
    assert interface_change(OLD, replace(OLD, inputs=OLD.inputs[::-1], outputs=OLD.outputs[::-1])) == []


def test_other_labels_or_another_order_is_a_change():
    assert interface_change(OLD, replace(OLD, labels=("WBC", "RBC"))) == ["labels were ['RBC', 'WBC'], now ['WBC', 'RBC']"]


def test_names_types_and_shapes_are_named_one_by_one():
    boxes = ServedTensor("boxes_xyxy_px", "TYPE_FP32", (300, 4))
    numbers = ServedTensor("labels", "TYPE_INT64", (100,))
    assert interface_change(OLD, replace(OLD, inputs=OLD.inputs[:1], outputs=(boxes, numbers))) == [
        "input 'image' is gone",
        "output 'boxes_xyxy_px' was FP32 [100, 4], now FP32 [300, 4]",
        "output 'labels' was INT32 [100], now INT64 [100]",
    ]
    assert interface_change(replace(OLD, outputs=()), OLD)[0] == "output 'boxes_xyxy_px' (FP32 [100, 4]) is new"


def test_a_change_is_a_gate_unless_a_person_accepted_it_with_a_reason():
    new = replace(OLD, labels=("WBC", "RBC"))
    with pytest.raises(GateFailed, match="accept_interface_change"):
        require_interface(OLD, new, "  ")
    assert "Accepted in model.toml: clients moved" in require_interface(OLD, new, "clients moved")
    assert require_interface(OLD, OLD, "") == ""


def test_the_reason_stands_in_model_toml_and_a_slip_is_named():
    text = '[data]\ntrain = ["cells"]\n[serving]\naccept_interface_change = "clients moved"\n'
    assert parse_model("counter", text).serving.accept_interface_change == "clients moved"
    with pytest.raises(BadDeclaration, match="did you mean 'accept_interface_change'"):
        parse_model("counter", text.replace("accept_interface_change", "accept_interface_chnge"))
