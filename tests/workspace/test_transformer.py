"""Embed: paths in, matrix out, as scikit-learn's transformers are."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

from mess_core import Embed, Embedder, GroupedFolds
from mess_core.encoders.mel import MEL
from mess_core.errors import AudioError, InputError


@pytest.fixture
def paths(write_wav):
    return [write_wav(f"t{seed}", 2.0, seed) for seed in range(8)]


@pytest.mark.slow
def test_rows_are_the_embeddings_of_files(paths):
    """The same as an embedder's, by text, path and array; of a file that is changed, the new ones."""
    found = Embed("mel").fit_transform(paths)
    embedder = Embedder("mel")
    np.testing.assert_array_equal(found, [embedder.embed_file(path).mean.ravel() for path in paths])
    for same in (list(map(str, paths)), np.array(list(map(str, paths))), np.array(paths, object)[:, None]):
        np.testing.assert_array_equal(Embed("mel", layer=0).transform(same), found)
    names = Embed("mel", layer=[0]).get_feature_names_out()
    assert len(names) == found.shape[1] == MEL.embedding_dim and names[:2].tolist() == ["mel0_0", "mel0_1"]
    paths[0].write_bytes(paths[1].read_bytes())
    again = Embed("mel").transform(paths)
    np.testing.assert_array_equal(again[0], found[1])
    np.testing.assert_array_equal(again[1:], found[1:])


def test_it_goes_through_pipelines_and_cross_validation(paths):
    pipe = make_pipeline(Embed("mel", layer=0), StandardScaler(), Ridge())
    numbers = np.arange(8.0)
    copy = pickle.loads(pickle.dumps(clone(pipe)))
    np.testing.assert_allclose(copy.fit(paths, numbers).predict(paths), pipe.fit(paths, numbers).predict(paths))
    assert pipe.score(paths, numbers) > 0.9
    scores = cross_val_score(pipe, np.array(paths, object), numbers, groups=list("aabbccdd"), cv=GroupedFolds(4))
    assert scores.shape == (4,) and np.isfinite(scores).all()
    assert pipe.set_params(embed__layer=None).get_params()["embed__layer"] is None


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_valid_tag_types,
        estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    ],
    ids=lambda check: check.__name__,
)
def test_it_is_an_estimator(check):
    """Every check of scikit-learn that needs no matrix of numbers in: paths are what comes in here."""
    check("Embed", Embed("mel"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("one.wav", "is one path"),
        ([], "got an array of shape"),
        (np.zeros((3, 2)), r"shape \(3, 2\)"),
        ([1.0], "got 1.0"),
        ([None], "got None"),
    ],
)
def test_what_are_no_paths_is_one_sentence(given, said):
    with pytest.raises(InputError, match=said):
        Embed("mel").fit(given)


def test_what_cannot_be_heard_is_one_sentence(paths, tmp_path):
    for how, said in (
        ({"encoder": "nosuch"}, "nosuch"),
        ({"layer": 3}, "no layer 3"),
        ({"layer": "x"}, "layers are 'x', expected whole numbers"),
    ):
        with pytest.raises(InputError, match=said):
            Embed(**({"encoder": "mel"} | how)).fit(paths)
    (tmp_path / "no.wav").write_bytes(b"nothing")
    with pytest.raises(AudioError, match=r"no\.wav"):
        Embed("mel").transform([tmp_path / "no.wav"])
