"""Sequence recommenders: planted orders are found, points stay frozen, laws hold; mistakes of others are noticed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.recommend import sequences, transformer
from mess_core.recommend.base import NOBODY, recommend_items
from mess_core.recommend.bert4rec import Bert4Rec
from mess_core.recommend.columns import Interactions, interactions_of, leave_one_out
from mess_core.recommend.controls import Popular
from mess_core.recommend.fitting import Keeping, Learning, best_of, learn_by_epochs
from mess_core.recommend.sasrec import SasRec
from mess_core.recommend.sequences import LearnedSequences
from mess_core.recommend.transformer import FIRST_ITEM, MASK, PAD, Transformer, build_transformer, cross_entropy
from mess_core.recommend.windows import hold_out_last, newest, windows

BOTH = [SasRec, Bert4Rec]
SMALL = Transformer(width=32, inner=64, dropout=0.1, most=8)
BRIEF = Learning(batch=64, most_epochs=3)
LONG = Learning(rate=3e-3, batch=32, most_epochs=120, patience=15)


def named(users: np.ndarray, items: np.ndarray, n_items: int) -> Interactions:
    """Item j is number j, also one that nobody has."""
    rows = interactions_of([f"u{user:03}" for user in users], [f"i{item:03}" for item in items])
    own = np.array([int(name[1:]) for name in rows.item_ids])
    return Interactions(
        rows.user_ids,
        tuple(f"i{item:03}" for item in range(n_items)),
        rows.user,
        own[rows.item],
        rows.at_s,
        rows.weight,
    )


def walks(follows: np.ndarray, n_users: int, n_rows: int, seed: int = 0) -> Interactions:
    """Each user begins anywhere and goes where `follows` leads."""
    rng = np.random.default_rng(seed)
    users, items = [], []
    for user in range(n_users):
        item = int(rng.integers(len(follows)))
        for _ in range(n_rows + user % 3):
            users.append(user)
            items.append(item)
            item = int(follows[item])
    return named(np.array(users), np.array(items), len(follows))


def a_circle(n_items: int, seed: int = 0) -> np.ndarray:
    """A permutation that comes to every item."""
    order = np.random.default_rng(seed).permutation(n_items)
    follows = np.empty(n_items, np.int64)
    follows[order] = np.roll(order, -1)
    return follows


def hit_rate(fitted, split) -> float:
    lists = recommend_items(fitted, split.train, split.tested, 1)
    return float((lists[:, 0] == split.test.last[split.tested]).mean())


@pytest.fixture(scope="module")
def order():
    """The next item follows from the last."""
    return leave_one_out(walks(a_circle(20), 300, 7))


@pytest.fixture(scope="module", params=BOTH)
def learned(request, order):
    """A recommender that learned this order."""
    return request.param(size=SMALL, learning=LONG).fit(order.train)


def anything(n_users: int = 40, n_items: int = 25, seed: int = 0) -> Interactions:
    """Histories of 1 to 12 rows, some items twice."""
    rng = np.random.default_rng(seed)
    users = np.concatenate([np.full(1 + user % 12, user) for user in range(n_users)])
    return named(users, rng.integers(0, n_items - 3, len(users)), n_items)


# --- planted ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_follows_is_found_where_what_is_popular_says_nothing(order, learned):
    assert hit_rate(learned, order) > 0.9 > 0.2 > hit_rate(Popular().fit(order.train), order)
    assert best_of(learned.curve).figure > 0.9 and learned.frozen_sha256 is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", BOTH)
def test_what_follows_by_a_direction_of_the_points_is_found_also_of_items_nobody_took_to(kind):
    """Items lie on a circle, and next is the one a step on. A sixth of them nobody has, and each is sought once."""
    n_items = 60
    angle = 2 * np.pi * np.arange(n_items) / n_items
    hidden = np.concatenate([[k * np.cos(n * angle + k), k * np.sin(n * angle)] for n, k in ((1, 3), (2, 2), (3, 1))])
    points = hidden.T @ np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0] + 5
    cold = np.arange(5, n_items, 6)
    rng = np.random.default_rng(1)
    users, items = [], []
    for user in range(200):
        start = cold[user % len(cold)] - 5 if user < 10 else rng.choice(np.setdiff1d(np.arange(n_items), cold))
        own = [item for item in (start + np.arange(5)) % n_items if item not in cold]
        users += [user] * len(own)
        items += own
    train = named(np.array(users), np.array(items), n_items)
    wanted = (train.last[:10] + 1) % n_items
    assert set(wanted) == set(cold) and not np.isin(train.item, cold).any()
    learning = replace(LONG, most_epochs=40)
    lists = recommend_items(kind(points, SMALL, learning).fit(train), train, np.arange(10), 3)
    found = (lists == wanted[:, None]).any(axis=1).mean()
    shuffled = points[rng.permutation(n_items)]
    lists = recommend_items(kind(shuffled, SMALL, learning).fit(train), train, np.arange(10), 3)
    by_shuffled = (lists == wanted[:, None]).any(axis=1).mean()
    ids = recommend_items(kind(None, SMALL, BRIEF).fit(train), train, np.arange(10), n_items)
    assert not np.isin(ids, cold).any()  # of ids, nothing is known of them
    assert found >= 0.7 > 0.4 >= by_shuffled


@pytest.mark.slow
@pytest.mark.parametrize("kind", BOTH)
def test_what_hangs_on_an_item_long_before_is_found_and_not_where_that_is_cut_off(kind):
    """Next is what follows the sixth from the end. Read with fewer places than were learned, it cannot be told."""
    follows = a_circle(20, 3)
    rng = np.random.default_rng(2)
    users, items = [], []
    for user in range(300):
        own = rng.integers(0, 20, 6).tolist()
        while len(own) < 9:
            own.append(int(follows[own[-6]]))
        users += [user] * 9
        items += own
    whole = named(np.array(users), np.array(items), 20)
    is_last = np.diff(whole.user, append=-1) != 0
    train, wanted = whole.only(~is_last), whole.last
    size = replace(SMALL, most=9)
    fitted = kind(size=size, learning=replace(LONG, most_epochs=150)).fit(train)

    def hits(fitted) -> float:
        return float((fitted.scores(np.arange(300)).argmax(axis=1) == wanted).mean())

    blind = fitted.tokens.copy()
    blind[:, :-4] = PAD
    assert hits(fitted) > 0.8 > 0.2 > hits(replace(fitted, tokens=blind))


# --- laws ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_points", [False, True])
@pytest.mark.parametrize("kind", BOTH)
def test_laws(kind, with_points):
    """A number for every known item; a user alone as among others; the order of users changes nothing."""
    train = anything()
    points = np.random.default_rng(1).standard_normal((25, 5)) if with_points else None
    recommender = kind(points, SMALL, BRIEF)
    fitted = recommender.fit(train)
    users = np.array([30, 3, 11])
    scores = fitted.scores(users)
    assert scores.shape == (3, 25) and not np.isnan(scores).any()
    learned = np.isin(np.arange(25), hold_out_last(train).train.item)
    np.testing.assert_array_equal(np.isfinite(scores), np.tile(learned | with_points, (3, 1)))
    np.testing.assert_array_equal(scores, recommender.fit(train).scores(users))
    for row, user in enumerate(users):
        # In float32 a batch of another size sums in another order: some units in the last place of scores near ten.
        np.testing.assert_allclose(fitted.scores(np.array([user]))[0], scores[row], rtol=2e-6, atol=1e-5)
    np.testing.assert_allclose(fitted.scores(users[::-1]), scores[::-1], atol=1e-6)
    other = kind(points, SMALL, replace(BRIEF, seed=1)).fit(train)
    assert not np.allclose(other.scores(users), scores, atol=1e-4)
    assert (recommend_items(fitted, train, users, 100) == NOBODY).any(axis=1).all()  # k above the catalogue


@pytest.mark.parametrize("kind", BOTH)
def test_it_goes_on_where_it_was_interrupted_to_the_same_bytes(kind, tmp_path):
    train, keeping = anything(), Keeping(tmp_path / "fit.json", 0.0)
    recommender = kind(size=SMALL, learning=BRIEF)
    whole = recommender.fit(train).scores(np.arange(40)).tobytes()

    def tell(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recommender.fit(train, replace(keeping, tell=tell))
    gone_on = []
    again = recommender.fit(train, replace(keeping, tell=gone_on.append))
    assert again.scores(np.arange(40)).tobytes() == whole and [each.number for each in gone_on] == [3]
    others = [(kind(size=replace(SMALL, dropout=0.3), learning=BRIEF), train, "size"),
              (recommender, anything(seed=1), "rows"),
              (kind(np.eye(25), SMALL, BRIEF), train, "points")]  # fmt: skip
    if kind is Bert4Rec:
        others.append((replace(recommender, hidden_share=0.3), train, "hidden_share"))
    for other, rows, what in others:
        with pytest.raises(ArtefactMismatchError, match=what):
            other.fit(rows, keeping)


@pytest.mark.parametrize("kind", BOTH)
def test_users_of_one_row_items_without_a_point_and_equal_times(kind):
    """u0 has one row, u1 nothing but an item without a point; times are equal, so the order is the one given."""
    users, items = ["u0", "u1", *["u2"] * 4, *["u3"] * 5], ["a", "z", *"abcd", *"bcdab"]
    points = np.random.default_rng(0).standard_normal((5, 3))
    timed, plain = interactions_of(users, items, np.zeros(11)), interactions_of(users, items)
    points[plain.item_ids.index("z")] = 0
    before = points.copy()
    fitted = kind(points, SMALL, BRIEF).fit(plain)
    scores = fitted.scores(np.arange(4))
    expected = np.ones((4, 5), bool)
    expected[1] = expected[:, plain.item_ids.index("z")] = False
    np.testing.assert_array_equal(np.isfinite(scores), expected)
    np.testing.assert_array_equal(scores, kind(points, SMALL, BRIEF).fit(timed).scores(np.arange(4)))
    np.testing.assert_array_equal(points, before)


def test_what_cannot_be_learned_from_is_refused():
    train = anything()
    points = np.ones((25, 2))
    points[7, 1] = np.nan
    with pytest.raises(InputError, match="item 7"):
        SasRec(points, SMALL, BRIEF).fit(train)
    with pytest.raises(InputError, match=r"\(3, 2\), expected one for each of 25"):
        SasRec(np.ones((3, 2)), SMALL, BRIEF).fit(train)
    with pytest.raises(InputError, match="No item"):
        SasRec(np.zeros((25, 2)), SMALL, BRIEF).fit(train)
    with pytest.raises(InputError, match="two items"):
        SasRec(size=SMALL, learning=BRIEF).fit(interactions_of(["a", "b"], ["x", "y"]))
    with pytest.raises(InputError, match="heads"):
        SasRec(size=Transformer(width=5), learning=BRIEF).fit(train)


def test_encoders_on_other_scales_and_off_the_middle_start_alike():
    train, points = anything(), np.random.default_rng(1).standard_normal((25, 5))
    scores = SasRec(points, SMALL, BRIEF).fit(train).scores(np.arange(40))
    moved = SasRec(points * 300 + np.arange(5), SMALL, BRIEF).fit(train).scores(np.arange(40))
    np.testing.assert_allclose(scores, moved, atol=1e-3)


# --- what is learned from -----------------------------------------------------------------------------------


def test_the_newest_come_last_and_twice_is_twice():
    train = interactions_of(["a"] * 4 + ["b", "c"], ["x", "y", "y", "z", "y", "z"])
    known = np.array([2, 1, 0])
    assert newest(train, known, 2).tolist() == [[3, 3, 2], [PAD, PAD, 3], [PAD, PAD, 2]]
    assert newest(train, known[1:], 2).tolist() == [[3, 2, 2], [PAD, PAD, 2], [PAD] * 3]  # z is not known


@pytest.mark.parametrize("most", [2, 3, 7])
def test_of_all_windows_each_item_stands_after_the_one_before_it_once(most):
    train = anything()
    tokens, user = windows(train, np.arange(25), most)
    pairs = [
        (who, *pair)
        for who, row in zip(user, tokens, strict=True)
        for pair in itertools.pairwise(row)
        if PAD not in pair
    ]
    expected = [
        (who, before + FIRST_ITEM, after + FIRST_ITEM)
        for who in range(40)
        for before, after in itertools.pairwise(train.item[train.user == who])
    ]
    assert sorted(pairs) == sorted(expected)


def test_the_last_is_held_out_of_whoever_has_two_more():
    split = hold_out_last(interactions_of(list("aaabbc"), list("xyzxyx")))
    assert split.train.item.tolist() == [0, 1, 0, 1, 0] and split.test.item.tolist() == [2]
    assert len(hold_out_last(split.train.only(np.zeros(5, bool))).train) == 0


def test_every_place_asks_for_the_next_and_no_place_sees_it():
    """The surprise of SASRec, by hand from the network; a causal place is blind to what comes."""
    torch.manual_seed(0)
    size = replace(SMALL, dropout=0.0, most=4)
    network = build_transformer(size, 6, is_causal=True)
    items = network.get_submodule("items")()
    tokens = torch.tensor([[PAD, PAD, 2, 5, 3], [7, 3, 3, 4, 2]])
    hidden = network(tokens[:, :-1], items)
    changed = tokens.clone()
    changed[:, 3] = 6
    torch.testing.assert_close(network(changed[:, :-1], items)[:, :3], hidden[:, :3])
    logits = torch.log_softmax(hidden @ items.T, dim=-1)
    asked = [(0, 2, 5), (0, 3, 3), (1, 0, 3), (1, 1, 3), (1, 2, 4), (1, 3, 2)]
    expected = -sum(logits[row, place, wanted - FIRST_ITEM] for row, place, wanted in asked) / 6
    torch.testing.assert_close(SasRec(size=size).loss(network, tokens, 6), expected)


def test_what_is_hidden_is_hidden_from_the_network():
    """Share of BERT4Rec's hidden items, and that the network cannot see what it is asked for."""
    torch.manual_seed(0)
    tokens = torch.randint(FIRST_ITEM, 8, (4000, 10))
    tokens[:, :3] = PAD
    is_hidden = Bert4Rec(last_share=0.0).hide(tokens)
    assert not is_hidden[:, :3].any() and is_hidden.any(dim=1).all()
    alone = 0.8**7  # the last, where chance leaves all
    np.testing.assert_allclose(is_hidden[:, 3:9].double().mean(), 0.2, atol=0.01)
    np.testing.assert_allclose(is_hidden[:, 9].double().mean(), 0.2 + alone, atol=0.02)
    assert (Bert4Rec(last_share=1.0).hide(tokens).sum(dim=0) == torch.tensor([0] * 9 + [4000])).all()
    seen = []

    def network(read, items):
        seen.append(read)
        return torch.zeros(*read.shape, 2)

    network.get_submodule = lambda name: lambda: torch.zeros(6, 2)
    Bert4Rec(last_share=1.0).loss(network, tokens, 6)
    assert (seen[0][:, -1] == MASK).all() and torch.equal(seen[0][:, :-1], tokens[:, 1:-1])


def test_places_drawn_for_want_of_memory_come_to_the_mean_of_all(monkeypatch):
    torch.manual_seed(0)
    hidden, items, wanted = torch.randn(300, 4), torch.randn(20, 4), torch.randint(0, 20, (300,))
    whole = cross_entropy(hidden, wanted, items)
    monkeypatch.setattr(transformer, "MOST_LOGITS", 30 * 20)
    drawn = torch.stack([cross_entropy(hidden, wanted, items) for _ in range(400)])
    assert drawn.std() > 0.01 and abs(drawn.mean() - whole) < 4 * drawn.std() / 20


# --- mistakes of others -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BOTH)
def test_points_stay_as_they_are_and_ids_move(kind, monkeypatch):
    """A published benchmark trained its item tables by a flag turned round; here that is noticed (the last part)."""
    train, points = anything(), np.random.default_rng(1).standard_normal((25, 5))
    built = []

    def build(*arguments, **keywords):
        network = build_transformer(*arguments, **keywords)
        built.append((network, {name: value.clone() for name, value in network.state_dict().items()}))
        return network

    monkeypatch.setattr(sequences, "build_transformer", build)
    fitted = kind(points, SMALL, BRIEF).fit(train)
    network, before = built.pop()
    np.testing.assert_array_equal(
        network.items.points.numpy(), sequences._standardised(points, 25)[0][fitted.known]
    )  # to the bit
    assert fitted.frozen_sha256 and not torch.equal(network.items.into.weight, before["items.into.weight"])
    assert not torch.equal(network.mask, before["mask"]) or kind is SasRec  # which never reads it
    kind(None, SMALL, BRIEF).fit(train)
    network, before = built.pop()
    assert not torch.equal(network.items.rows, before["items.rows"])

    def build_trained(*arguments, **keywords):
        network = build_transformer(*arguments, **keywords)
        values = network.items.points
        del network.items.points
        network.items.points = torch.nn.Parameter(values)
        return network

    monkeypatch.setattr(sequences, "build_transformer", build_trained)
    with pytest.raises(RuntimeError, match="frozen"):
        kind(points, SMALL, BRIEF).fit(train)


@pytest.mark.parametrize("kind", BOTH)
def test_it_recommends_by_as_many_places_as_it_learned(kind):
    """Published: learned from 300 items, asked with 50. Here the oldest place that is read changes what is said."""
    train = named(np.repeat(np.arange(6), 30), np.random.default_rng(0).integers(0, 20, 180), 20)
    size = replace(SMALL, most=20)
    fitted = kind(size=size, learning=BRIEF).fit(train)
    scores = fitted.scores(np.arange(6))
    n_read = size.most if kind is SasRec else size.most - 1  # one place is that of the mask
    for place, is_read in ((n_read, True), (n_read + 1, False)):
        items = train.item.copy().reshape(6, 30)
        items[:, -place] = (items[:, -place] + 1) % 20
        changed = replace(fitted, tokens=newest(replace(train, item=items.ravel()), fitted.known, size.most))
        assert (not np.array_equal(changed.scores(np.arange(6)), scores)) == is_read

    @dataclass(frozen=True, eq=False)
    class Short(kind):
        is_causal: ClassVar[bool] = kind.is_causal

        def question(self, tokens):
            return super().question(tokens)[:, -5:]

    short = replace(fitted, recommender=Short(size=size, learning=BRIEF))
    assert not np.allclose(short.scores(np.arange(6)), scores, atol=1e-4)


@pytest.mark.slow
def test_when_to_stop_is_told_by_items_with_the_history_before_them(order, learned, monkeypatch):
    """Published: by users of whom nothing was read. So asked, the figure stays low, whatever was learned."""
    inner = hold_out_last(order.train)
    blind = np.full_like(learned.tokens, PAD)
    blind[:, -1] = FIRST_ITEM  # something is read, but nothing of the user

    def without_history(network, n_rows, loss_of, figure_of, *rest):
        def figure():
            mistaken = LearnedSequences.of(learned.recommender, network, blind, learned.known, learned.n_items)
            lists = recommend_items(mistaken, inner.train, inner.tested, 10)
            return sequences._ndcg(lists, inner.test.last[inner.tested])

        return learn_by_epochs(network, n_rows, loss_of, figure, *rest)

    monkeypatch.setattr(sequences, "learn_by_epochs", without_history)
    mistaken = learned.recommender.fit(order.train)
    assert best_of(learned.curve).figure > 0.9 > 0.5 > best_of(mistaken.curve).figure
