"""A study keeps each row as it is done, goes on where it was, and says what is known beforehand of a planted world."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.evaluation.recommendation import NDCG, RECALL, evaluate_recommenders
from mess_core.recommend.columns import leave_one_out, read_sequences
from mess_core.recommend.controls import Popular
from mess_core.recommend.knn import Ease, ItemNeighbours
from mess_core.study import kept, run
from mess_core.study.findings import findings, layer_profiles
from mess_core.study.kept import load_row, load_study, per_user_of, studies, study_folder
from mess_core.study.plan import read_plan
from mess_core.study.printed import as_csv, as_document, as_latex, as_markdown
from mess_core.study.run import run_study
from mess_core.study.table import tabulate
from mess_core.upkeep.check import check
from tests.conftest import SHARED
from tests.planted import strict

N_ITEMS, N_USERS = 60, 80


@pytest.fixture
def folder(tmp_path):
    """Sequences of two camps, and a table in which the items of a camp sound alike; in another order than the items."""
    rng = np.random.default_rng(0)
    lines = []
    for user in range(N_USERS):
        own = rng.permutation(np.arange(user % 2, N_ITEMS, 2))[:9]
        lines.append(" ".join([f"u{user}", *(f"i{item}" for item in own)]))
    (tmp_path / "rows.txt").write_text("\n".join(lines))
    order = rng.permutation(N_ITEMS)
    vectors = np.eye(2)[order % 2] + 0.3 * rng.standard_normal((N_ITEMS, 2))
    np.savez(tmp_path / "camps.npz", ids=np.array([f"i{item}" for item in order]), vectors=vectors)
    return tmp_path


def a_plan(folder, models, k=10, more="", encoder=True, data="", seeds="[0]"):
    file = folder / "plan.toml"
    lines = [f"k = {k}", f"seeds = {seeds}", "exchanges = 2", "[data]", 'path = "rows.txt"', 'format = "sequences"',
             data or 'split = "leave-one-out"']  # fmt: skip
    lines += ["[[encoder]]", 'path = "camps.npz"'] if encoder else []
    for model in models:
        lines += ["[[model]]", f'name = "{model}"']
    file.write_text("\n".join([*lines, more]))
    return read_plan(file)


def test_rows_are_those_of_the_recommenders_run_by_hand(folder, home):
    plan = a_plan(folder, ["popular", "itemknn", "ease"], encoder=False)
    ran = run_study(plan, home)
    by_hand = evaluate_recommenders(
        leave_one_out(read_sequences(folder / "rows.txt")), [Popular(), ItemNeighbours(), Ease()], 10
    )
    table = tabulate(home.paths, ran.study)
    for name in ("popular", "itemknn", "ease"):
        row, expected = table.row(name), by_hand.result(name).figure(NDCG)
        assert (row.values[NDCG], row.low, row.high) == (expected.value, expected.low, expected.high)
        assert row.values[RECALL] == by_hand.result(name).figure(RECALL).value
        gain = by_hand.gain(name, "popular")
        assert name == "popular" or row.over_popular.value == pytest.approx(gain.value)
    assert table.row("chance").values[NDCG] == by_hand.result("popular").figure(NDCG).chance


def test_what_is_there_is_not_run_again_and_what_others_data_are_is(folder, home):
    plan = a_plan(folder, ["popular", "usermean"])
    assert (run_study(plan, home).n_run, run_study(plan, home).n_run) == (4, 0)
    wider = a_plan(folder, ["popular", "usermean", "alike"])
    ran = run_study(wider, home)
    assert (ran.n_run, ran.n_there) == (3, 4)
    at_more = a_plan(folder, ["popular", "usermean", "alike"], k="[5, 10]")
    assert run_study(at_more, home).n_run == 7, "another k was asked for"
    rows = (folder / "rows.txt").read_text().splitlines()
    (folder / "rows.txt").write_text("\n".join(rows[1:]))
    assert run_study(at_more, home).n_run == 7, "the data are others"
    table = np.load(folder / "camps.npz")
    np.savez(folder / "camps.npz", ids=table["ids"], vectors=2 * table["vectors"] + 1)
    assert run_study(at_more, home).n_run == 6, "the points are others"


def test_a_table_in_another_order_is_the_same_table(folder, home):
    plan = a_plan(folder, ["usermean"])
    run_study(plan, home)
    table = np.load(folder / "camps.npz")
    order = np.random.default_rng(1).permutation(N_ITEMS)
    np.savez(folder / "camps.npz", ids=table["ids"][order], vectors=table["vectors"][order])
    assert run_study(plan, home).n_run == 0


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("after", [0, 1, 3, 8])
def test_an_interrupted_study_goes_on_with_what_it_has_not_got(folder, home, after):
    plan = a_plan(folder, ["random", "popular", "itemknn", "usermean", "alike"])

    def stop(n_done, n_rows, what):
        if n_done == after:
            raise Interrupted

    with pytest.raises(Interrupted):
        run_study(plan, home, on_row=stop)
    ran = run_study(plan, home)
    assert (ran.n_run, ran.n_there) == (9 - after, after)
    assert not check(home)


def test_a_study_that_was_stopped_before_it_had_another_k_shows_what_it_has(folder, home):
    """The plan asks for another k, and the run ends at its first row: of the others there is nothing at that k."""
    run_study(a_plan(folder, ["popular", "random"], seeds="[0, 1]", encoder=False), home)

    def stop(n_done, n_rows, what):
        if n_done == 2:
            raise Interrupted

    plan = a_plan(folder, ["popular", "random"], k="[5, 10]", seeds="[0, 1]", encoder=False)
    with pytest.raises(Interrupted):
        run_study(plan, home, on_row=stop)
    table = tabulate(home.paths, load_study(home.paths, "plan"))
    assert (table.k, table.n_missing, table.row("random").n_users) == (5, 1, N_USERS)
    told = [row["refused"] for row in as_document(home.paths, table)["rows"]]
    assert told.count("It was not run yet.") == 1 and told.count("") == 2
    assert run_study(plan, home).n_run == 1


def test_tests_of_another_name_are_other_tests(folder, home):
    """Told apart by hot and cold, where all is hot, it is the same rows by another name: they must be run again."""
    plan = a_plan(folder, ["popular", "itemknn"], encoder=False)
    run_study(plan, home)
    data = 'split = "leave-one-out"\nhot_and_cold = true'
    ran = run_study(a_plan(folder, ["popular", "itemknn"], encoder=False, data=data), home)
    assert list(ran.study.tests) == ["hot"] and ran.n_run == 2
    table = tabulate(home.paths, ran.study)
    assert not table.n_missing and all(row["NDCG"] for row in as_document(home.paths, table)["rows"])


@pytest.mark.slow
def test_one_that_learns_goes_on_at_the_epoch_at_which_it_was(folder, home, monkeypatch):
    plan = a_plan(folder, ["sasrec"], encoder=False, more="most_epochs = 6\nwidth = 16")
    run_study(plan, home)
    (name,) = run_study(plan, home).study.rows
    whole = load_row(home.paths, "plan", name)
    for path in study_folder(home.paths, "plan").rglob("*.*"):
        path.unlink()
    monkeypatch.setattr(run, "Keeping", lambda path, tell: run_keeping(path, every_s=0.0, tell=tell))
    seen = []

    def stop(row, epoch):
        seen.append(epoch.number)
        if epoch.number == 3 and len(seen) == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        run_study(plan, home, on_epoch=stop)
    run_study(plan, home, on_epoch=stop)
    again = load_row(home.paths, "plan", name)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert again.figures == whole.figures and [e.loss for e in again.curve] == [e.loss for e in whole.curve]
    assert not list(study_folder(home.paths, "plan").rglob("*.fit*")), "what a fit was at is not kept for ever"


run_keeping = run.Keeping


def test_a_row_that_cannot_be_run_is_kept_with_its_reason_and_the_others_go_on(folder, home):
    plan = a_plan(folder, ["popular", "usermean"], more='[[encoder]]\npath = "gone.npz"\n')
    ran = run_study(plan, home)
    assert ran.n_run == 7 and [title for title, _ in ran.refused] == [
        "usermean by gone seed 0",
        "usermean by gone exchanged seed 0",
        "usermean by gone exchanged seed 1",
    ]
    table = tabulate(home.paths, ran.study)
    refused = [row for row in table.rows if row.refused]
    assert [row.heard_by for row in refused] == ["gone"] and "gone.npz" in refused[0].refused
    assert "Not counted: usermean by gone" in " ".join(findings(table))
    assert run_study(plan, home).n_run == 3, "it is tried again: the file may be there now"


def test_without_its_control_a_row_is_not_counted(folder, home, monkeypatch):
    """The published tables had no such row, and nobody could see which encoders did no better than their shuffle."""
    plan = a_plan(folder, ["usermean"])
    ran = run_study(plan, home)
    for control in [name for name, row in ran.study.rows.items() if row.is_shuffled]:
        kept.row_path(home.paths, "plan", control).unlink()
    (row,) = (row for row in tabulate(home.paths, ran.study).rows if row.encoder)
    assert "controls" in row.refused and not row.values
    assert "nothing" in findings(tabulate(home.paths, ran.study))[0].lower()


def test_chance_stands_in_every_table_and_is_exact(folder, home):
    """One of the published tables was at chance from end to end, and had no row that said so."""
    plan = a_plan(folder, ["random"], encoder=False, seeds=str(list(range(40))))
    table = tabulate(home.paths, run_study(plan, home).study)
    row = table.row("random")
    assert row.low <= table.row("chance").values[NDCG] <= row.high
    for text in (as_markdown(table), as_csv(table), as_latex(table)):
        assert "chance" in text


def test_k_is_what_is_measured_and_not_only_what_it_is_called(folder, home):
    """Published columns that were called @20 were @50: whatever k was asked for, one other was taken."""
    plan = a_plan(folder, ["itemknn"], k="[5, 20]", encoder=False)
    ran = run_study(plan, home)
    (name,) = ran.study.rows
    lists_5, lists_20 = (per_user_of(home.paths, "plan", name, "test", k) for k in (5, 20))
    assert (lists_20[RECALL] >= lists_5[RECALL]).all() and lists_20[RECALL].sum() > lists_5[RECALL].sum()
    split = leave_one_out(read_sequences(folder / "rows.txt"))
    for k, found in ((5, lists_5), (20, lists_20)):
        expected = evaluate_recommenders(split, [ItemNeighbours()], k).result("itemknn").per_user[RECALL]
        np.testing.assert_array_equal(found[RECALL], expected)
    chance = ran.study.tests["test"].chance
    assert chance[20]["recall"] == pytest.approx(4 * chance[5]["recall"])


def test_seeds_are_put_together_user_by_user(folder, home):
    plan = a_plan(folder, ["random"], encoder=False, seeds="[0, 1, 2]")
    ran = run_study(plan, home)
    each = [per_user_of(home.paths, "plan", name, "test", 10)[NDCG] for name in ran.study.rows]
    row = tabulate(home.paths, ran.study).row("random")
    assert row.seeds == (0, 1, 2) and row.n_users == N_USERS
    assert row.values[NDCG] == pytest.approx(np.mean(each))


def test_figures_come_as_documents_and_files_that_others_read(folder, home):
    import pyarrow.parquet as pq

    plan = a_plan(folder, ["popular", "usermean"])
    ran = run_study(plan, home)
    table = tabulate(home.paths, ran.study)
    document = strict(json.dumps(as_document(home.paths, table), allow_nan=False))
    assert [(row["model"], row["is_control"], row["is_exchanged"]) for row in document["rows"]] == [
        ("popular", True, False), ("usermean", False, False), *[("usermean", True, True)] * 2,
    ]  # fmt: skip
    assert {"HitRate", "MRR", "Precision", "Recall", "NDCG", "low", "high"} <= document["rows"][0].keys()
    assert document["gains"][0]["over"] == "exchanged" and document["gains"][0]["value"] > 0.1
    rows = study_folder(home.paths, "plan") / "rows"
    (name,) = (name for name, row in ran.study.rows.items() if row.encoder and not row.is_shuffled)
    lists = pq.read_table(next(rows.glob(f"{name}.*.lists.parquet"))).to_pylist()
    assert {row["user"] for row in lists} == {f"u{number}" for number in range(N_USERS)}
    own = [int(row["item"][1:]) % 2 for row in lists if row["user"] == "u0" and row["rank"] <= 10]
    assert sum(own) <= 1, "the camp of the first user is that of even items"
    assert as_csv(table).count("\n") == len(table.rows) + 1 and r"\toprule" in as_latex(table)
    assert f"{table.row('usermean', plan.encoders[0]).values[NDCG]:.3f}" in as_markdown(table)


@pytest.mark.parametrize("harm", ["cut", "grown", "gone"])
def test_what_was_damaged_is_found_and_made_again(folder, home, harm):
    plan = a_plan(folder, ["popular", "usermean"])
    run_study(plan, home)
    path = next((study_folder(home.paths, "plan") / "rows").glob("popular-*.users.parquet"))
    document = next((study_folder(home.paths, "plan") / "rows").glob("popular-*.json"))
    match harm:
        case "cut":
            path.write_bytes(path.read_bytes()[:-20])
        case "grown":
            document.write_bytes(document.read_bytes() + b" ")
        case "gone":
            path.unlink()
    problems = check(home)
    assert len(problems) == 1 and problems[0].kind == "study"
    check(home, repair=True)
    assert run_study(plan, home).n_run == 1 and not check(home)


def test_a_study_from_elsewhere_is_read_or_refused(folder, home):
    run_study(a_plan(folder, ["popular"], encoder=False), home)
    path = study_folder(home.paths, "plan") / "study.json"
    from mess_core.storage.files import read_sealed, write_sealed

    document = read_sealed(path)
    for wrong in ({"rows": {"../../x": {}}}, {"tests": 3}, {"plan": {}}, {"n_users": "many"}):
        write_sealed(path, {**document, **wrong})
        with pytest.raises(ArtefactMismatchError):
            load_study(home.paths, "plan")
    gone = {name: {**row, "model": {"name": "of-a-package", "settings": {}}} for name, row in document["rows"].items()}
    write_sealed(path, {**document, "rows": gone})
    with pytest.raises(ArtefactMismatchError, match="no model 'of-a-package'"):
        load_study(home.paths, "plan")
    write_sealed(path, {**document, "format": "mess-study-999"})
    assert load_study(home.paths, "plan") is None
    path.unlink()
    assert load_study(home.paths, "plan") is None and studies(home.paths) == []


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ('split = "given"', "brings no split"),
        ('split = "time"\ntested_from = 5', "order"),
        ('split = "leave-one-out"\ncolumn = "x"', "no option 'column'"),
    ],
)
def test_data_that_cannot_be_held_back_so_are_refused(folder, home, data, sentence):
    with pytest.raises(InputError, match=sentence):
        run_study(a_plan(folder, ["popular"], encoder=False, data=data), home)


def test_listeners_of_this_data_folder_are_tried_and_what_they_cannot_be_chosen_by_is_refused(home, tmp_path):
    from mess_core.encoders.mel import MEL
    from tests.planted import a_track, embed, plant_tracks

    ids = plant_tracks(home, [a_track(number) for number in range(12)], "music")
    embed(home, MEL, ids)
    file = tmp_path / "here.toml"
    data = '[data]\nformat = "listeners"\nlibrary = "music"\nsplit = "leave-one-out"\n'
    file.write_text(f'exchanges = 2\n{data}[[encoder]]\nid = "mel"\n[[model]]\nname = "usermean"\n')
    with pytest.raises(InputError, match="Nobody"):
        run_study(read_plan(file), home)
    for number in range(6):
        for track_id in ids[number : number + 5]:
            home.opinions.add_play(track_id, 60.0, share=1.0, listener=f"u{number}")
    ran = run_study(read_plan(file), home)
    assert not ran.refused and (ran.study.n_users, ran.study.n_items) == (6, 10)
    assert tabulate(home.paths, ran.study).row("usermean", read_plan(file).encoders[0]).n_heard == 10
    file.write_text(file.read_text().replace("[[encoder]]", "since = 5\n[[encoder]]", 1))
    with pytest.raises(InputError, match="no 'since'"):
        run_study(read_plan(file), home)


def test_items_that_nobody_heard_are_counted_and_said(folder, home):
    table = np.load(folder / "camps.npz")
    np.savez(folder / "camps.npz", ids=table["ids"][:50], vectors=table["vectors"][:50])
    plan = a_plan(folder, ["usermean"])
    found = tabulate(home.paths, run_study(plan, home).study)
    assert "camps has heard 50 of 60 items; of the others it can say nothing." in findings(found)
    assert found.row("usermean", plan.encoders[0]).n_heard == 50 and ",50," in as_csv(found)


def test_layers_of_an_encoder_are_a_profile(folder, home):
    plan = a_plan(folder, ["usermean"])
    assert layer_profiles(tabulate(home.paths, run_study(plan, home).study)) == {}


# --- known answers ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_published_figures_of_lastfm_come_out_to_the_digit(home):
    file = SHARED / "rec" / "lastfm.toml"
    if not file.is_file():
        pytest.skip("the shared data are not here")
    from mess_core.study.plan import plan_of

    models = [{"name": "popular"}, {"name": "itemknn", "neighbours": 50}, {"name": "ease"}]
    data = {"path": "s3rec-LastFM.txt", "format": "sequences", "split": "leave-one-out"}
    plan = plan_of({"k": 10, "data": data, "model": models}, "lastfm", str(file.parent))
    assert read_plan(file).data == plan.data
    table = tabulate(home.paths, run_study(plan, home).study)
    found = {row.model: (round(row.values["hit rate"], 4), round(row.values[NDCG], 4)) for row in table.rows}
    assert found["popular"] == (0.0440, 0.0201) and found["ease"] == (0.0945, 0.0536)
    assert found["itemknn (neighbours 50)"][0] == 0.0936 and abs(found["itemknn (neighbours 50)"][1] - 0.0475) < 4e-4


# --- what is said ---------------------------------------------------------------------------------------------


def test_what_knows_nothing_of_new_items_is_not_ranked_by_their_order(folder, home):
    """On items that nobody had, counting gives all one score; the order of the file would pass for a figure."""
    rows = ["user,item,at"]
    for user in range(30):
        rows += [f"u{user},i{item},{item}" for item in range(user % 2, 40, 2)][:12]
        rows += [f"u{user},i{item},100" for item in range(40 + user % 2, 60, 4)]
    (folder / "rows.csv").write_text("\n".join(rows))
    file = folder / "timed.toml"
    file.write_text(
        'k = 5\nexchanges = 2\n[data]\npath = "rows.csv"\nformat = "table"\nuser = "user"\nitem = "item"\nat = "at"\n'
        'split = "time"\ntested_from = 50\nhot_and_cold = true\n[[encoder]]\npath = "camps.npz"\n'
        + "".join(f'[[model]]\nname = "{name}"\n' for name in ("random", "popular", "itemknn", "usermean"))
    )
    ran = run_study(read_plan(file), home)
    assert list(ran.study.tests) == ["cold"] and "Nobody can be tested on what somebody had" in ran.study.notices[0]
    table = tabulate(home.paths, ran.study)
    assert {row.model for row in table.rows if row.refused} == {"popular", "itemknn"}
    assert table.row("random").values and table.ranked[0].model == "usermean"
    assert table.row("random").over_popular is None, "what is popular is no order here to be better than"
    assert any("know nothing of these" in sentence for sentence in findings(table))


def test_the_best_of_what_is_no_better_than_chance_is_not_called_best(folder, home):
    rng = np.random.default_rng(0)
    lines = [f"u{user} {' '.join(f'i{item}' for item in rng.permutation(60)[:5])}" for user in range(30)]
    (folder / "rows.txt").write_text("\n".join(lines))
    table = tabulate(home.paths, run_study(a_plan(folder, ["popular", "itemknn"], encoder=False), home).study)
    assert "nothing is shown to be better than chance" in findings(table)[0]


def test_a_study_of_a_few_says_so_and_can_be_deleted(folder, home):
    (folder / "rows.txt").write_text("\n".join(f"u{n} a b c" for n in range(4)))
    study = run_study(a_plan(folder, ["popular"], encoder=False), home).study
    assert (
        "Of 4 listeners hardly anything" in " ".join(findings(tabulate(home.paths, study)))
        or not tabulate(home.paths, study).ranked
    )
    assert any("its order counts" in sentence for sentence in study.notices)
    kept.forget_study(home.paths, "plan")
    assert studies(home.paths) == [] and not study_folder(home.paths, "plan").exists()


def test_items_of_a_library_are_called_by_title_or_by_the_name_of_their_file(home, tmp_path):
    from mess_core.encoders.mel import MEL
    from tests.planted import a_track, embed, plant_tracks

    ids = plant_tracks(home, [a_track(number) for number in range(12)], "music")
    embed(home, MEL, ids)
    titles = [home.catalogue.track(each).title for each in ids]
    data = '[data]\npath = "rows.csv"\nformat = "table"\nuser = "who"\nitem = "what"\nsplit = "leave-one-out"\n'
    taken = [f"u{n},{title}" for n in range(6) for title in titles[n:]]
    (tmp_path / "rows.csv").write_text("\n".join(["who,what", *taken]))
    file = tmp_path / "named.toml"
    encoder = '[[encoder]]\nid = "mel"\nlibrary = "music"\nby = "title"\n'
    file.write_text(f'exchanges = 2\n{data}{encoder}[[model]]\nname = "alike"\n')
    ran = run_study(read_plan(file), home)
    assert not ran.refused and tabulate(home.paths, ran.study).ranked[0].encoder.by == "title"
    file.write_text(file.read_text().replace('by = "title"', 'by = "track_id"'))
    assert "is an item: they are like" in str(run_study(read_plan(file), home).refused[0][1])
