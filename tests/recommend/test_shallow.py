"""One layer over frozen points: what learns, from which others, and by which loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mess_core.recommend import shallow
from mess_core.recommend.bridge import ContrastBridge
from mess_core.recommend.checkpoints import digest
from mess_core.recommend.columns import of_numbers
from mess_core.recommend.fitting import Epoch, Keeping, Learning
from mess_core.recommend.shallow import ShallowNet, hinge
from tests.recommend.listeners import by_ear, ids

BRIEFLY = Learning(rate=0.01, batch=500, most_epochs=4)


@pytest.mark.parametrize("others", ["users", "items"])
def test_points_of_items_are_frozen_and_users_are_not(others):
    """Published code froze the wrong table of the two, by a flag that was turned round."""
    rows, points = by_ear(n_users=40, n_items=60)
    before = points.copy()
    net = ShallowNet(points, 16, others=others, held_out=0.0, learning=replace(BRIEFLY, rate=0.1, most_epochs=1))
    one, more = net.fit(rows), replace(net, learning=replace(BRIEFLY, rate=0.1)).fit(rows)
    assert one.frozen_sha256 == more.frozen_sha256 == digest(points)
    np.testing.assert_array_equal(points, before)
    assert not np.allclose(one.users, more.users)


def test_points_that_move_fail_the_fit(monkeypatch):
    rows, points = by_ear(n_users=40, n_items=60)
    real = shallow._Net.of

    def moving(net, kind, ids):
        net.heard[ids[0]] += 1e-3  # as a table that learns
        return real(net, kind, ids)

    monkeypatch.setattr(shallow._Net, "of", moving)
    with pytest.raises(RuntimeError, match="they are to be frozen"):
        ShallowNet(points, 8, learning=BRIEFLY).fit(rows)


def test_what_learns_is_the_layer_and_the_users(monkeypatch):
    rows, points = by_ear(n_users=40, n_items=60, dim=5)
    seen = {}
    real = shallow.learn_by_epochs

    def watched(module, *given):
        start = {name: value.clone() for name, value in module.state_dict().items()}
        curve = real(module, *given)
        seen.update({name: (start[name], value) for name, value in module.state_dict().items()})
        return curve

    monkeypatch.setattr(shallow, "learn_by_epochs", watched)
    ShallowNet(points, 7, learning=BRIEFLY).fit(rows)
    assert {name: tuple(end.shape) for name, (_, end) in seen.items()} == {
        "users.weight": (40, 5), "line.weight": (7, 5), "line.bias": (7,),
    }  # fmt: skip
    assert all(not torch.equal(start, end) for start, end in seen.values())
    means = rows.has @ points / np.sqrt((points**2).mean()) / np.asarray(rows.has.sum(axis=1))
    np.testing.assert_allclose(seen["users.weight"][0].numpy(), means, atol=1e-5)  # where users begin


def test_others_are_drawn_from_all_alike_and_never_one_who_has_it():
    rng = np.random.default_rng(0)
    user, item = (torch.from_numpy(each) for each in np.nonzero(rng.random((50, 30)) < 0.3))
    taken = {(int(u), int(i)) for u, i in zip(user, item, strict=True)}
    for kind, n in (("users", 50), ("items", 30)):
        others, counts = shallow._drawing(user, item, kind, 300)(user, item)
        assert counts.float().mean() > 0.99
        n_drawn = np.zeros(n)
        expected = np.zeros(n)
        for row, (u, i) in enumerate(zip(user.tolist(), item.tolist(), strict=True)):
            pairs = {(int(each), i) if kind == "users" else (u, int(each)) for each in others[row][counts[row]]}
            assert not pairs & taken
            free = [each for each in range(n) if ((each, i) if kind == "users" else (u, each)) not in taken]
            n_drawn += np.bincount(others[row][counts[row]].numpy(), minlength=n)
            expected[free] += int(counts[row].sum()) / len(free)
        assert np.abs(n_drawn / expected - 1).max() < 0.1  # of 2 600 each: the last no less than the first


def test_items_without_audio_teach_nothing_and_are_never_the_others():
    rows, points = by_ear(n_users=40, n_items=60)
    points[:20] = 0
    net = ShallowNet(points, 8, others="items", learning=BRIEFLY)
    heard = rows.only(rows.item >= 20)
    np.testing.assert_array_equal(net.fit(rows).scores(np.arange(40)), net.fit(heard).scores(np.arange(40)))


def test_an_item_that_everybody_has_teaches_nothing():
    user, item = np.repeat(np.arange(6), 2), np.tile(np.arange(2), 6)
    train = of_numbers(ids("u", 6), ids("i", 3), user, item)
    net = ShallowNet(np.eye(3), 4, held_out=0.0, learning=BRIEFLY)
    assert [epoch.loss for epoch in net.fit(train).curve] == [0.0] * 4


def test_the_margin_by_hand():
    scores = torch.tensor([[0.5, 0.4, 0.1], [0.0, 0.9, 0.9]])
    counts = torch.tensor([[True, True], [True, False]])
    found = hinge(scores, torch.tensor([1.0, 3.0]), counts, 0.2)
    assert float(found) == pytest.approx((0.1 + 0.0 + 3 * 1.1) / 3)


def test_the_interaction_begins_as_the_cosine_and_parts_from_it(monkeypatch):
    rows, points = by_ear(n_users=40, n_items=60)
    still, moving = replace(BRIEFLY, rate=1e-12), replace(BRIEFLY, rate=0.05)
    modules, real, users = [], shallow.learn_by_epochs, np.arange(40)
    monkeypatch.setattr(shallow, "learn_by_epochs", lambda *given: modules.append(given[0]) or real(*given))
    one, other = (ShallowNet(points, 16, way, learning=still).fit(rows) for way in ("cosine", "interaction"))
    np.testing.assert_allclose(one.scores(users), other.scores(users), atol=1e-5)
    one, other = (ShallowNet(points, 16, way, learning=moving).fit(rows) for way in ("cosine", "interaction"))
    assert not np.allclose(one.scores(users), other.scores(users), atol=0.01)
    weights = modules[-1]["mix"].weight.detach().numpy()
    np.testing.assert_allclose(np.linalg.norm(other.users / weights, axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(other.items, axis=1), 1, atol=1e-4)
    assert not np.allclose(weights, 1, atol=0.01)


def test_settings_change_what_is_learned_and_the_same_are_the_same():
    rows, points = by_ear(n_users=40, n_items=60)
    rows = of_numbers(rows.user_ids, rows.item_ids, rows.user, rows.item, weights=1.0 + np.arange(len(rows)) % 9)
    plain = ShallowNet(points, 16, learning=BRIEFLY)
    users = np.arange(40)
    expected = plain.fit(rows).scores(users)
    np.testing.assert_array_equal(plain.fit(rows).scores(users), expected)
    np.testing.assert_allclose(replace(plain, points=1000 * points).fit(rows).scores(users), expected, atol=1e-4)
    for other in (
        replace(plain, has_confidence=True), replace(plain, penalty=0.1), replace(plain, margin=0.5),
        replace(plain, others="items"), replace(plain, learning=replace(BRIEFLY, seed=1)),
    ):  # fmt: skip
        assert not np.allclose(other.fit(rows).scores(users), expected, atol=1e-3), other


@pytest.mark.parametrize("way", [ShallowNet, ContrastBridge])
def test_a_fit_that_was_interrupted_comes_to_the_same(way, tmp_path):
    rows, points = by_ear(n_users=40, n_items=60)
    recommender = way(points, learning=replace(BRIEFLY, batch=50))
    expected = recommender.fit(rows)

    def interrupt(epoch: Epoch) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    keeping = Keeping(tmp_path / "fit.json", 0.0, interrupt)
    with pytest.raises(KeyboardInterrupt):
        recommender.fit(rows, keeping)
    found = recommender.fit(rows, replace(keeping, tell=None))
    np.testing.assert_array_equal(found.scores(np.arange(40)), expected.scores(np.arange(40)))
    assert [each.loss for each in found.curve] == [each.loss for each in expected.curve]


def test_it_stops_when_nothing_gets_better():
    rows, points = by_ear(n_users=60, n_items=80)
    learning = Learning(rate=0.05, batch=500, most_epochs=200, patience=3)
    curve = ShallowNet(points, 8, held_out=0.2, learning=learning).fit(rows).curve
    best = max(curve, key=lambda each: each.figure)
    assert len(curve) == best.number + 3 < 200
