import json

import numpy as np
import pytest

from exposure_env.fusion import FUSIONS
from exposure_env.retouch import RetouchPlan
from exposure_env.retouch.plan import FORMAT
from tests.retouch.small import ALL, LEFT_RIGHT, as_floats, noise


def test_a_plan_survives_json_and_files(tmp_path):
    options = {"levels": 2, "clip_input": False, "epsilon": 1e-5}
    plan = RetouchPlan(LEFT_RIGHT, [0.1, -1 / 3], "mertens_masked", options, "encoded", "letterbox")
    plan.save(tmp_path / "plan.json")
    for again in (RetouchPlan.from_json(plan.to_json()), RetouchPlan.load(tmp_path / "plan.json")):
        assert again.to_json() == plan.to_json()
        np.testing.assert_array_equal(again.labels, LEFT_RIGHT)
        assert again.evs.tolist() == [0.1, -1 / 3]  # to the last bit
        assert (again.fusion, again.fusion_options, again.space, again.thumbnail) == (
            "mertens_masked", options, "encoded", "letterbox")  # fmt: skip
    assert json.loads(plan.to_json())["format"] == FORMAT


def test_a_plan_keeps_its_own_copies():
    labels, evs, options = LEFT_RIGHT.copy(), np.array([1.0, 2.0]), {"levels": 1}
    plan = RetouchPlan(labels, evs, "mask_pyramid", options)
    labels[:], evs[:], options["levels"] = 7, 7, 7
    assert plan.labels.max() == 1 and plan.evs.tolist() == [1, 2] and plan.fusion_options == {"levels": 1}
    with pytest.raises(ValueError, match="read-only"):
        plan.evs[0] = 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels": [[0, 2], [0, 2]]}, r"labels must cover 0\.\.1.*\[0, 2\]"),
        ({"labels": [[0, 1], [2, 1]]}, r"labels must cover 0\.\.1.*2 evs.*\[0, 1, 2\]"),
        ({"labels": [[0, 0], [0, 0]]}, "labels must cover"),
        ({"labels": [[-1, 0], [1, 1]]}, "labels must cover"),
        ({"labels": [[0, 1], [2**32, 2**32 + 1]]}, "labels must cover"),
        ({"labels": [[0, 1], [1]]}, "labels must be rows of integers"),
        ({"labels": [0, 1]}, "labels must be rows of integers"),
        ({"labels": [[0.0, 1.0]]}, "labels must be rows of integers"),
        ({"labels": []}, "labels must be rows of integers"),
        ({"labels": np.zeros((0, 4), int)}, "labels must be rows of integers"),
        ({"evs": [0.0, np.nan]}, "evs must be finite.*nan"),
        ({"evs": [0.0, np.inf]}, "evs must be finite.*inf"),
        ({"evs": [0.0, 1000.0]}, "evs must be .* within 32 stops.*1000"),
        ({"evs": [0.0]}, r"labels must cover 0\.\.0, as there are 1 evs"),
        ({"evs": ["0", "1"]}, "evs must be a list of numbers"),
        ({"evs": 1.0}, "evs must be a list of numbers"),
        ({"evs": []}, "evs must be a list of numbers"),
        ({"fusion": "median"}, "fusion must be one of .*'median'"),
        ({"fusion": ["local"]}, "fusion must be one of"),
        ({"space": "log"}, "space must be one of .*'log'"),
        ({"thumbnail": "crop"}, "thumbnail must be one of .*'crop'"),
        ({"fusion_options": {"levels": 2}}, "fusion_options of 'local' .*'levels'"),
        ({"fusion_options": [3]}, "fusion_options must be a dict"),
        ({"fusion": "mask_pyramid", "fusion_options": {"levels": 2.5}}, "levels must be like .*2.5"),
        ({"fusion": "mask_pyramid", "fusion_options": {"levels": -1}}, "levels must be like .*-1"),
        ({"fusion": "mask_pyramid", "fusion_options": {"levels": None}}, "levels must be like .*None"),
        ({"fusion": "mertens", "fusion_options": {"contrast": "1"}}, "contrast must be like .*'1'"),
        ({"fusion": "mertens", "fusion_options": {"epsilon": np.nan}}, "epsilon must be like .*nan"),
        ({"fusion": "mertens", "fusion_options": {"include_input": 1}}, "include_input must be like .*1"),
        ({"labels": np.repeat(LEFT_RIGHT, 2, axis=0), "thumbnail": "letterbox"}, r"square, not \(8, 4\)"),
    ],
)
def test_a_malformed_plan_names_what_is_wrong(fields, message):
    with pytest.raises(ValueError, match=message):
        RetouchPlan(**({"labels": LEFT_RIGHT, "evs": [0.0, 1.0]} | fields))


def test_foreign_json_names_what_is_wrong(tmp_path):
    content = json.loads(RetouchPlan(LEFT_RIGHT, [0, 1]).to_json())
    without = {name: value for name, value in content.items() if name != "evs"}
    for text, message in [
        ("{", "not JSON"),
        ("[1]", "a JSON object, not list"),
        (json.dumps(content | {"format": "exposure retouch plan, version 2"}), "format must be .*version 2"),
        ("{}", "format must be .*None"),
        (json.dumps(without), "fields must be"),
        (json.dumps(content | {"colour": 1}), "fields must be .*'colour'"),
        (json.dumps(content | {"evs": [0, float("nan")]}), "evs must be finite"),
        (json.dumps(content).replace("[0, 0, 1, 1]", "[0, 0, 1, 5]"), "labels must cover"),
    ]:
        with pytest.raises(ValueError, match=message):
            RetouchPlan.from_json(text)
    (tmp_path / "photo.json").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match="photo.json"):
        RetouchPlan.load(tmp_path / "photo.json")


def test_scaled_by_hand():
    plan = RetouchPlan(LEFT_RIGHT, [1.5, -0.5], "mask_pyramid", {"levels": 2}, "encoded", "letterbox")
    half = plan.scaled(0.5)
    assert half.evs.tolist() == [0.75, -0.25]
    assert json.loads(half.to_json()) == json.loads(plan.to_json()) | {"evs": [0.75, -0.25]}
    assert plan.scaled(1).to_json() == plan.to_json() and "-0.0" not in plan.scaled(0).to_json()
    small = as_floats(noise(4, 4))
    np.testing.assert_array_equal(RetouchPlan(LEFT_RIGHT, [1.5, -0.5]).scaled(0).render(small), small)


@pytest.mark.parametrize("strength", [-0.1, np.nan, np.inf])
def test_a_strength_out_of_range_is_named(strength):
    with pytest.raises(ValueError, match=f"strength must be a finite number from 0, not {strength}"):
        RetouchPlan(LEFT_RIGHT, [1, 0]).scaled(strength)
    with pytest.raises(ValueError, match="within 32 stops"):
        RetouchPlan(LEFT_RIGHT, [30, 0]).scaled(2)


def test_the_share_beyond_an_exposure_by_hand():
    plan = RetouchPlan([[0, 1, 1, 2]] * 4, [-3.0, 2.0, 0.0])
    assert [plan.share_beyond(ev) for ev in (3.1, 3.0, 2.0, 0.5, 0.0)] == [0, 0.25, 0.75, 0.75, 1]


@pytest.mark.parametrize("fusion", ALL)
def test_render_is_the_definition(fusion):
    small = as_floats(noise(4, 4))
    plan = RetouchPlan(LEFT_RIGHT, [1, -1], fusion, {"clip_output": False}, "encoded")
    evs = np.array([[1, -1]], np.float32)
    expected = FUSIONS[fusion](small[None], LEFT_RIGHT[None], evs, space="encoded", clip_output=False)[0]
    np.testing.assert_array_equal(plan.render(small), expected)
    assert plan.render(small).dtype == np.float32
    with pytest.raises(ValueError, match=r"\(4, 4, 3\), not \(5, 4, 3\)"):
        plan.render(np.zeros((5, 4, 3), np.float32))
