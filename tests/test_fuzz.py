"""A few broken files of each kind; `python -m tests.fuzz` tries as many as there is time for."""

from collections import Counter

import numpy as np
import pytest

from tests.fuzz import trials
from tests.fuzz.changes import make_input
from tests.fuzz.seeds import KINDS, seeds
from tests.fuzz.trials import LINUX, Outcome, try_input, warm_up

NUMBERS = {"jpeg": 70, "png": 80, "tiff": 80, "safetensors": 90, "plan": 70, "config": 60, "journal": 50}
FIRST = 60  # seed


def test_nothing_but_value_errors_and_os_errors(tmp_path, one_thread, monkeypatch):
    monkeypatch.setenv("EXPOSURE_THREADS", "1")
    warm_up(tmp_path)
    findings, counts = [], Counter()
    for kind in KINDS:
        for seed in range(FIRST, FIRST + NUMBERS[kind]):
            outcome = try_input(kind, make_input(kind, seed), tmp_path)
            counts[kind, outcome.accepted] += 1
            findings += [f"{kind} {seed}: {outcome.finding}"] if outcome.finding else []
    assert not findings, "\n".join(findings)
    assert sum(counts.values()) == 500
    for kind in KINDS:
        assert counts[kind, True] >= 5, counts
        assert kind == "journal" or counts[kind, False] >= 20, counts  # a journal's broken lines are passed over


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_depend_on_kind_and_seed_alone(kind):
    first = [make_input(kind, seed) for seed in range(5)]
    np.random.default_rng().random(3)
    seeds.cache_clear()
    assert [make_input(kind, seed) for seed in range(5)] == first and len(set(first)) > 1


def refused(*_):
    raise ValueError("no")


def broken(*_):
    raise KeyError("oh")


def large(*_):
    np.ones(50_000_000)


def larger(*_):
    try:
        np.ones(10**13)
    except MemoryError as error:
        raise ValueError("no") from error


def slow(*_):
    while True:
        pass


@pytest.mark.parametrize("trial, accepted, finding", [
    (lambda *_: None, True, None), (refused, False, None), (broken, False, "KeyError at test_fuzz.py:"),
    pytest.param(large, True, "memory: 4", marks=pytest.mark.skipif(not LINUX, reason="measured on Linux")),
    (larger, False, "memory: asked for"),
    pytest.param(slow, False, "TooSlow", marks=pytest.mark.skipif(not LINUX, reason="measured on Linux")),
])
def test_what_is_wrong_is_found(tmp_path, monkeypatch, trial, accepted, finding):
    monkeypatch.setitem(trials.TRIALS, "plan", trial)
    monkeypatch.setattr(trials, "SECONDS", 1.5)
    outcome = try_input("plan", b"", tmp_path)
    assert outcome.accepted == accepted and (outcome.finding or "").startswith(finding or "")
    assert finding or outcome == Outcome(accepted)
