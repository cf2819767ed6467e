# SPDX-License-Identifier: MIT
"""Configurations and options of the public functions, their types, and errors that name them."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
from types import FunctionType
from typing import Any, get_type_hints

import numpy as np
import pytest
from runs import TEXT, halves

import pydarts
from pydarts import (
    ArgumentError,
    ArgumentTypeError,
    RunOptions,
    SearchConfig,
    TextSearchConfig,
    TextTrainConfig,
    TrainConfig,
)
from pydarts.training import options as typed

IMAGES: dict[str, Any] = {"channels": 1, "cells": 2, "batch_size": 4, "epochs": 1}
WORDS: dict[str, Any] = {"hidden_size": 4, "batch_size": 4, "bptt": 8, "epochs": 1}
QUIET: dict[str, Any] = {"progress": False, "threads": 1}
CONFIGS = [
    (SearchConfig, IMAGES),
    (TrainConfig, IMAGES),
    (TextSearchConfig, WORDS),
    (TextTrainConfig, WORDS),
]


def fronts() -> dict[str, tuple[Any, Any]]:
    """Return every public function that takes a configuration, with its data, and its class."""
    X, y = halves(16)
    cell, recurrent = pydarts.DARTS_V2, pydarts.RECURRENT_DARTS_V2
    few = {"seeds": [0], "random_cells": 1}
    return {
        "search": (lambda **o: pydarts.search(X, y, **o), SearchConfig),
        "estimate": (lambda **o: pydarts.estimate(X, y, **o), SearchConfig),
        "search_many": (lambda **o: pydarts.search_many(X, y, seeds=[0], **o), SearchConfig),
        "train": (lambda **o: pydarts.train(cell, X, y, **o), TrainConfig),
        "compare": (lambda **o: pydarts.compare(cell, X, y, **few, **o), TrainConfig),
        "random_search": (lambda **o: pydarts.random_search(X, y, k=1, **o), TrainConfig),
        "search_text": (lambda **o: pydarts.search_text(TEXT, **o), TextSearchConfig),
        "estimate_text": (lambda **o: pydarts.estimate_text(TEXT, **o), TextSearchConfig),
        "search_many_text": (
            lambda **o: pydarts.search_many_text(TEXT, seeds=[0], **o),
            TextSearchConfig,
        ),
        "train_text": (lambda **o: pydarts.train_text(recurrent, TEXT, **o), TextTrainConfig),
        "compare_text": (
            lambda **o: pydarts.compare_text(recurrent, TEXT, **few, **o),
            TextTrainConfig,
        ),
        "random_search_text": (
            lambda **o: pydarts.random_search_text(TEXT, k=1, **o),
            TextTrainConfig,
        ),
    }


# Configurations


@pytest.mark.parametrize(("kind", "small"), CONFIGS)
def test_make(kind: Any, small: dict[str, Any]) -> None:
    whole = kind.make("standard", small)
    assert whole == kind(preset="standard", **{**kind.presets["standard"], **small})
    assert whole.preset == "standard"
    assert kind.make("standard", config=whole) == kind.make(config=whole) == whole
    with pytest.raises(ArgumentError, match=r"`preset` \(='paper'\) has no use beside `config`"):
        kind.make("paper", config=whole)
    other = kind.make(overrides={"seed": 3}, config=whole)
    assert other == dataclasses.replace(whole, seed=3)
    assert kind.from_dict(whole.to_dict()) == whole
    with pytest.raises(ArgumentError, match=r"`preset` \(='fast'\) must be one of quick, standard"):
        kind.make("fast")


@pytest.mark.parametrize("preset", ["quick", "standard"])
def test_a_config_is_preset_and_options(preset: str) -> None:
    X, y = halves(16)
    options = {**IMAGES, "order": 1, "seed": 2}
    config = SearchConfig.make(preset, options)
    ours = pydarts.search(X, y, config=config, **QUIET)
    theirs = pydarts.search(X, y, preset=preset, **options, **QUIET)
    assert ours.config == theirs.config == dataclasses.replace(config, stem="cifar")
    np.testing.assert_array_equal(ours.alphas["normal"], theirs.alphas["normal"])
    trained = TrainConfig.make(preset, {**IMAGES, "auxiliary": False})
    model = pydarts.train(pydarts.DARTS_V2, X, y, config=trained, seed=5, **QUIET)
    assert model.config == dataclasses.replace(trained, seed=5, stem="cifar")


def test_the_same_for_text() -> None:
    config = TextSearchConfig.make("standard", {**WORDS, "order": 1})
    ours = pydarts.search_text(TEXT, config=config, **QUIET)
    theirs = pydarts.search_text(TEXT, preset="standard", order=1, **WORDS, **QUIET)
    assert ours.config == theirs.config == config
    np.testing.assert_array_equal(ours.alphas["recurrent"], theirs.alphas["recurrent"])
    trained = TextTrainConfig.make("standard", WORDS)
    model = pydarts.train_text(pydarts.RECURRENT_DARTS_V2, TEXT, config=trained, lr=1.0, **QUIET)
    assert model.config == dataclasses.replace(trained, lr=1.0)


@pytest.mark.parametrize("name", fronts())
def test_every_front_takes_a_config_of_its_class_alone(name: str) -> None:
    call, kind = fronts()[name]
    for other in (SearchConfig, TrainConfig, TextSearchConfig, TextTrainConfig):
        if other is not kind:
            with pytest.raises(ArgumentTypeError, match=f"must be a {kind.__name__}") as error:
                call(config=other.make())
            assert error.value.argument == "config"
    # What it checks itself, it checks of a configuration, too.
    with pytest.raises(ArgumentError, match=r"`epochs` \(=0\)"):
        call(config=kind.make(), epochs=0)


# Unknown options


@pytest.mark.parametrize("name", fronts())
def test_unknown_options(name: str) -> None:
    call, _ = fronts()[name]
    for wrong, right in (("epoch", "epochs"), ("thread", "threads"), ("random_state", "seed")):
        with pytest.raises(TypeError, match=rf"option `{wrong}`: did you mean `{right}`\?"):
            call(**{wrong: 3})
    with pytest.raises(TypeError, match=r"unknown option `zzz`: there are .*\bepochs\b"):
        call(zzz=3)


def test_unknown_options_like_a_parameter_of_images() -> None:
    for wrong, right in (("group", "groups"), ("class_weigh", "class_weight")):
        message = rf"`{wrong}`: did you mean `{right}`\?"
        with pytest.raises(TypeError, match=message):
            pydarts.search(*halves(16), **{wrong: []})  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=message):
            pydarts.fit(*halves(16), "1h", **{wrong: []})  # type: ignore[arg-type]


RUNS = ("search", "estimate", "search_many", "train")
RUNS += ("search_text", "estimate_text", "search_many_text", "train_text")


@pytest.mark.parametrize("name", RUNS)
def test_unknown_options_about_the_run(name: str) -> None:
    call, _ = fronts()[name]
    for wrong, right in (
        ("checkpoints", "checkpoint"),
        ("callback", "callbacks"),
        ("time_budgets", "time_budget"),
        ("progres", "progress"),
    ):
        with pytest.raises(TypeError, match=rf"`{wrong}`: did you mean `{right}`\?"):
            call(**{wrong: 1})


@pytest.mark.parametrize("name", ["train", "train_text"])
def test_a_training_has_no_eigenvalue(name: str) -> None:
    with pytest.raises(TypeError, match="unknown option `eigenvalue`"):
        fronts()[name][0](eigenvalue=True)


# Types for editors


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (typed.SearchFields, SearchConfig),
        (typed.TrainFields, TrainConfig),
        (typed.TextSearchFields, TextSearchConfig),
        (typed.TextTrainFields, TextTrainConfig),
    ],
)
def test_typed_fields_are_those_of_the_configurations(fields: Any, kind: Any) -> None:
    types = get_type_hints(kind)
    expected = {option.name: types[option.name] for option in kind.options()}
    assert get_type_hints(fields) == expected
    assert list(get_type_hints(fields)) == list(expected)
    assert {*fields.__optional_keys__} == {*expected}


def test_typed_run_options_are_those_of_the_class() -> None:
    expected = get_type_hints(RunOptions)
    search, train = get_type_hints(typed.SearchRun), get_type_hints(typed.TrainRun)
    assert search.items() <= expected.items()
    assert train.items() < search.items()
    # What users do not set.
    assert expected.keys() - search.keys() == {"log_epochs", "log_notes", "started"}
    assert not typed.SearchRun.__required_keys__


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("SearchOptions", (typed.SearchFields, typed.SearchRun)),
        ("TrainOptions", (typed.TrainFields, typed.TrainRun)),
        ("TextSearchOptions", (typed.TextSearchFields, typed.SearchRun)),
        ("TextTrainOptions", (typed.TextTrainFields, typed.TrainRun)),
    ],
)
def test_typed_options_are_both(name: str, parts: Any) -> None:
    fields, run = map(get_type_hints, parts)
    assert get_type_hints(getattr(typed, name)) == fields | run
    assert not fields.keys() & run.keys()


# Errors


def test_signatures_name_the_space() -> None:
    assert inspect.signature(pydarts.search).parameters["space"].default == "darts"
    for name in pydarts.__all__:
        if isinstance(value := getattr(pydarts, name), (type, FunctionType)):
            # A whole one takes 2,000 characters.
            assert "Space(" not in str(inspect.signature(value)), name


def test_argument_errors() -> None:
    error = ArgumentError("batch_size", "(=0) must be at least 1")
    assert isinstance(error, ValueError)
    assert not isinstance(error, TypeError)
    assert str(error) == "`batch_size` (=0) must be at least 1"
    assert (error.argument, error.problem) == ("batch_size", "(=0) must be at least 1")
    wrong = ArgumentTypeError("epochs", "(='3') must be an integer")
    assert isinstance(wrong, ArgumentError)
    assert isinstance(wrong, ValueError)
    assert isinstance(wrong, TypeError)
    for each in (error, wrong):
        back = pickle.loads(pickle.dumps(each))
        assert type(back) is type(each)
        assert (back.argument, back.problem, str(back)) == (
            each.argument,
            each.problem,
            str(each),
        )


@pytest.mark.parametrize(
    ("name", "options", "argument", "kind"),
    [
        ("search", {"batch_size": 0}, "batch_size", ArgumentError),
        ("search", {"batch_size": 9}, "batch_size", ArgumentError),
        ("search", {"epochs": "3"}, "epochs", ArgumentTypeError),
        ("search", {"flip": 1}, "flip", ArgumentTypeError),
        ("search", {"alpha_betas": (0.5,)}, "alpha_betas", ArgumentError),
        ("search", {"order": 3}, "order", ArgumentError),
        ("search", {"progress": "foo"}, "progress", ArgumentTypeError),
        ("search", {"eigenvalue": 1}, "eigenvalue", ArgumentTypeError),
        ("compare", {"progress": "foo", "batch_size": 4}, "progress", ArgumentTypeError),
        ("random_search", {"progress": "foo", "batch_size": 4}, "progress", ArgumentTypeError),
        ("search", {"preset": "fast"}, "preset", ArgumentError),
        ("search", {"threads": 0, "batch_size": 4}, "threads", ArgumentError),
        ("search", {"image_layout": "CHW"}, "image_layout", ArgumentError),
        ("search", {"resume": "yes"}, "resume", ArgumentError),
        ("search", {"callbacks": [1]}, "callbacks", ArgumentTypeError),
        ("search", {"checkpoint_seconds": -1}, "checkpoint_seconds", ArgumentError),
        ("search", {"time_budget": "soon"}, "time_budget", ArgumentError),
        ("search", {"memory_budget": 1, "batch_size": 4}, "memory_budget", ArgumentError),
        ("estimate", {"memory_budget": [1]}, "memory_budget", ArgumentTypeError),
        ("search_many", {"threads": 0}, "threads", ArgumentError),
        ("search_many", {"seed": 1}, "seed", ArgumentTypeError),
        ("train", {"lr": float("nan")}, "lr", ArgumentError),
        ("train", {"batch_size": 99}, "batch_size", ArgumentError),
        ("train", {"X_valid": halves(16)[0]}, "X_valid", ArgumentError),
        ("train", {"X_valid": halves(16)[0], "y_valid": [7] * 16}, "y_valid", ArgumentError),
        ("train", {"X_valid": np.zeros((2, 3)), "y_valid": [0, 1]}, "X_valid", ArgumentError),
        ("compare", {"resume": "yes"}, "resume", ArgumentError),
        ("compare", {"seed": 1}, "seed", ArgumentTypeError),
        (
            "compare",
            {"restore_best_weights": True, "batch_size": 4},
            "restore_best_weights",
            ArgumentError,
        ),
        ("random_search", {"train_fraction": 1.0}, "train_fraction", ArgumentError),
        (
            "random_search",
            {"restore_best_weights": True, "batch_size": 4},
            "restore_best_weights",
            ArgumentError,
        ),
        ("search_text", {"max_tokens": 5}, "max_tokens", ArgumentError),
        ("search_text", {"level": "letter"}, "level", ArgumentError),
        ("search_text", {"batch_size": 10_000}, "batch_size", ArgumentError),
        ("train_text", {"patience": 0}, "patience", ArgumentError),
        ("train_text", {"max_vocab": 0}, "max_vocab", ArgumentError),
        ("compare_text", {"dropout": 1.0}, "dropout", ArgumentError),
        ("random_search_text", {"batch_size": 10_000}, "batch_size", ArgumentError),
    ],
)
def test_errors_know_their_argument(
    name: str, options: dict[str, Any], argument: str, kind: type[ArgumentError]
) -> None:
    with pytest.raises(ArgumentError) as error:
        fronts()[name][0](**{**QUIET, **options})
    assert error.value.argument == argument
    assert type(error.value) is kind
    assert str(error.value).startswith(f"`{argument}` ")


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("epochs", 0, "(=0) must be at least 1"),
        ("epochs", 2**31, "(=2147483648) must be at least 1 and less than 2147483648"),
        ("lr", -1.0, "(=-1.0) must be more than 0"),
        ("lr", float("inf"), "(=inf) must be more than 0 and less than 1.79769e+308"),
        ("momentum", 1.0, "(=1.0) must be at least 0 and less than 1"),
    ],
)
def test_bounds_that_go_without_saying_are_not_told(
    option: str, value: float, problem: str
) -> None:
    with pytest.raises(ArgumentError) as error:
        TrainConfig(**{option: value})
    assert str(error.value) == f"`{option}` {problem}"


def test_what_none_means_is_told() -> None:
    with pytest.raises(ArgumentTypeError, match="must be an integer, or None, which means 'all'"):
        pydarts.search(*halves(16), max_images="all")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: pydarts.search(np.zeros((4, 2)), [0, 1, 0, 1]), "X"),
        (lambda: pydarts.search(halves(16)[0], [0] * 16), "y"),
        (lambda: pydarts.search(halves(16)[0], [0, 1]), "X"),
        (lambda: pydarts.train("DARTS_V2", *halves(16), batch_size=4), "genotype"),  # type: ignore[arg-type]
        (lambda: pydarts.train_text(pydarts.DARTS_V2, TEXT, **WORDS), "genotype"),  # type: ignore[arg-type]
        (lambda: pydarts.compare([], *halves(16)), "genotypes"),
        (lambda: pydarts.search_many(*halves(16), seeds=[]), "seeds"),
        (lambda: pydarts.random_search(*halves(16), k=0), "k"),
        (lambda: pydarts.search_text(""), "data"),
        (lambda: pydarts.Genotype.random(-1), "seed"),
        (lambda: pydarts.Supernet(0, 2), "channels"),
        (lambda: pydarts.EarlyStopping(patience=0), "patience"),
    ],
)
def test_errors_of_data_and_values_know_theirs(call: Any, argument: str) -> None:
    with pytest.raises(ArgumentError) as error:
        call()
    assert error.value.argument == argument
