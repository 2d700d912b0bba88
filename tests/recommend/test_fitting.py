"""Fitting by epochs: it stops where it was best, is the same again, and goes on where it was interrupted."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.recommend.checkpoints import digest, forget_checkpoint
from mess_core.recommend.fitting import Keeping, Learning, best_of, drawing_from, learn_by_epochs, on_one_thread
from mess_core.storage.files import seal, unseal

QUICK = Learning(rate=0.05, batch=16, most_epochs=12, patience=20)
X = torch.from_numpy(np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32))
Y = torch.sin(2 * X[:, :2])


class Interrupted(Exception):
    pass


def a_fit(learning=QUICK, keeping=None, about=None, figures=None, seen=None):
    """A network with dropout and a running mean learns a curve; figures: instead of its loss on the last ten rows."""
    with drawing_from(learning.seed):
        module = torch.nn.Sequential(
            torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(8, 2)
        )  # fmt: skip

    def loss_of(rows):
        if seen is not None:
            seen.append(rows.tolist())
        return ((module(X[rows]) - Y[rows]) ** 2).mean()

    said = iter(figures) if figures is not None else None
    figure_of = (lambda: next(said)) if said is not None else (lambda: -float(((module(X[40:]) - Y[40:]) ** 2).mean()))
    curve = learn_by_epochs(module, 40, loss_of, figure_of, learning, about or {}, keeping)
    return module, curve


def bytes_of(module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in module.state_dict().items()}


def until(number):
    """Interrupts after an epoch."""

    def tell(epoch):
        if epoch.number == number:
            raise Interrupted

    return tell


def without_time(curve):
    return [(each.number, each.loss, each.figure) for each in curve]


def test_every_row_is_learned_from_once_an_epoch_in_another_order():
    seen = []
    a_fit(Learning(batch=16, most_epochs=2), seen=seen)
    first, second = ([row for rows in seen[start : start + 3] for row in rows] for start in (0, 3))
    assert [len(rows) for rows in seen] == [16, 16, 8] * 2
    assert sorted(first) == sorted(second) == list(range(40)) and first != second


def test_the_same_seed_is_the_same_and_another_is_another():
    module, curve = a_fit()
    again, curve_again = a_fit()
    other, _ = a_fit(Learning(rate=0.05, batch=16, most_epochs=12, patience=20, seed=1))
    assert bytes_of(module) == bytes_of(again) != bytes_of(other)
    assert without_time(curve) == without_time(curve_again) and curve[-1].loss < curve[0].loss


def test_it_stops_after_patience_and_is_as_it_was_at_the_first_of_the_best():
    learning = Learning(rate=0.05, batch=16, most_epochs=50, patience=3)
    module, curve = a_fit(learning, figures=[0.1, 0.4, 0.2, 0.4, 0.3, 0.9])
    assert [each.figure for each in curve] == [0.1, 0.4, 0.2, 0.4, 0.3] and best_of(curve).number == 2
    two, _ = a_fit(Learning(rate=0.05, batch=16, most_epochs=2, patience=3), figures=[0.1, 0.4])
    assert bytes_of(module) == bytes_of(two) and not module.training


def test_nothing_held_out_means_all_epochs_and_the_last_state():
    def teach(most_epochs):
        with drawing_from(0):
            line = torch.nn.Linear(6, 2)
        learning = Learning(batch=16, most_epochs=most_epochs, patience=1)
        return line, learn_by_epochs(line, 40, lambda rows: ((line(X[rows]) - Y[rows]) ** 2).mean(), None, learning, {})

    line, curve = teach(4)
    assert len(curve) == 4 and {each.figure for each in curve} == {None}
    assert bytes_of(line) != bytes_of(teach(3)[0])


def test_chance_and_threads_outside_are_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    n_threads = torch.get_num_threads()
    with on_one_thread():
        assert torch.get_num_threads() == 1
    a_fit()
    assert torch.equal(torch.rand(3), expected) and torch.get_num_threads() == n_threads


@pytest.mark.parametrize("number", [1, 2, 5, 11])
def test_an_interrupted_fit_goes_on_to_the_same_bytes(tmp_path, number):
    """Its best state may be long past, as the third here, and Adam and the running mean have come a way."""
    figures = [0.1, 0.2, 0.9, 0.4, 0.5, 0.6, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
    whole, curve = a_fit(figures=figures)
    path = tmp_path / "fit.json"
    with pytest.raises(Interrupted):
        a_fit(keeping=Keeping(path, 0.0, until(number)), figures=figures)
    told = []
    module, gone_on = a_fit(keeping=Keeping(path, 0.0, told.append), figures=figures[number:])
    assert bytes_of(module) == bytes_of(whole) and without_time(gone_on) == without_time(curve)
    assert [each.number for each in told] == list(range(number + 1, 13))
    assert len(list(tmp_path.iterdir())) == 2  # what is older is gone
    forget_checkpoint(path)
    assert not list(tmp_path.iterdir())


def test_going_on_without_adams_averages_would_be_noticed(tmp_path, monkeypatch):
    """The mistake beside the test above: only the weights are put back."""
    monkeypatch.setattr(torch.optim.Optimizer, "load_state_dict", lambda self, state: None)
    path = tmp_path / "fit.json"
    with pytest.raises(Interrupted):
        a_fit(keeping=Keeping(path, 0.0, until(5)))
    assert bytes_of(a_fit(keeping=Keeping(path, 0.0))[0]) != bytes_of(a_fit()[0])


def test_a_finished_fit_given_once_more_is_what_it_was(tmp_path):
    keeping = Keeping(tmp_path / "fit.json", 0.0)
    module, curve = a_fit(keeping=keeping)
    seen = []
    again, curve_again = a_fit(keeping=keeping, seen=seen)
    assert bytes_of(module) == bytes_of(again) and curve == curve_again and seen == []


def test_nothing_is_written_before_its_time(tmp_path):
    a_fit(keeping=Keeping(tmp_path / "fit.json", 3600.0))
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_another_fit_is_refused_and_says_in_what(tmp_path):
    keeping = Keeping(tmp_path / "fit.json", 0.0)
    a_fit(keeping=keeping, about={"data": digest(X.numpy()), "width": 8})
    with pytest.raises(ArtefactMismatchError, match=r"another fit: it differs in data\."):
        a_fit(keeping=keeping, about={"data": digest(Y.numpy()), "width": 8})
    with pytest.raises(ArtefactMismatchError, match=r"differs in learning, width\."):
        a_fit(Learning(rate=0.01), keeping, about={"data": digest(X.numpy())})


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(format="mess-epochs-0"),
        lambda document: document.update(notes=[{"number": "one"}]),
        lambda document: document.update(arrays_sha256="0" * 64),
        lambda document: document.pop("about"),
    ],
)
def test_a_checkpoint_that_says_what_cannot_be_is_refused(tmp_path, change):
    path = tmp_path / "fit.json"
    a_fit(keeping=Keeping(path, 0.0))
    document = unseal(path.read_bytes(), "fit.json")
    change(document)
    path.write_bytes(seal(document))
    with pytest.raises(ArtefactMismatchError):
        a_fit(keeping=Keeping(path, 0.0))


def test_damaged_arrays_and_arrays_of_another_shape_are_refused(tmp_path):
    from safetensors.numpy import load, save

    path = tmp_path / "fit.json"
    a_fit(keeping=Keeping(path, 0.0))
    (arrays,) = tmp_path.glob("*.safetensors")
    data = arrays.read_bytes()
    arrays.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ArtefactMismatchError, match="sha256"):
        a_fit(keeping=Keeping(path, 0.0))
    for key, value in (("adam.0.exp_avg", np.zeros(3, np.float32)), ("now.0.weight", np.zeros((8, 5), np.float32)),
                       ("more", np.zeros(1)), ("adam.99.exp_avg", np.zeros(1))):  # fmt: skip
        changed = save({**load(data), key: value})
        sha256 = digest_of(changed)
        (tmp_path / f"fit.{sha256[:16]}.safetensors").write_bytes(changed)
        path.write_bytes(seal({**unseal(path.read_bytes(), ""), "arrays_sha256": sha256}))
        with pytest.raises(ArtefactMismatchError, match=r"fit\.json is damaged"):
            a_fit(keeping=Keeping(path, 0.0))


def digest_of(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def test_a_checkpoint_is_json_and_numbers(tmp_path):
    a_fit(keeping=Keeping(tmp_path / "fit.json", 0.0))
    document = json.loads((tmp_path / "fit.json").read_text())
    assert len(document["notes"]) == 12 and document["about"]["learning"]["batch"] == 16


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(InputError, match="0 rows"):
        learn_by_epochs(torch.nn.Linear(1, 1), 0, lambda rows: rows.sum(), None, QUICK, {})
    with pytest.raises(InputError, match="lower rate"):
        a_fit(Learning(rate=1e30, batch=16))
    with pytest.raises(InputError, match="nan"):
        a_fit(figures=[float("nan")])


@pytest.mark.parametrize("plateau", [0, 1, 4])
@pytest.mark.parametrize("seed", range(4))
def test_the_rate_falls_as_that_of_torch(plateau, seed, monkeypatch):
    """`ReduceLROnPlateau`, told by the figures alone, and each epoch goes by it."""
    figures = np.random.default_rng(seed).integers(0, 6, 12).astype(float).tolist()
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, "max", patience=plateau, threshold=0, eps=0)
    expected, used, step = [], [], torch.optim.Adam.step
    for figure in figures:
        expected.append(optimiser.param_groups[0]["lr"])
        scheduler.step(figure)

    def watched(self, *given):
        used.append(self.param_groups[0]["lr"])
        return step(self, *given)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    a_fit(Learning(rate=0.05, batch=40, most_epochs=12, patience=99, plateau=plateau), figures=figures)
    np.testing.assert_allclose(used, expected)
