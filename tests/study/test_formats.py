"""Formats: what is odd about each file of the field, and the figures that are known of it."""

from __future__ import annotations

import bz2
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mess_core.errors import DataMissingError, InputError
from mess_core.recommend.columns import leave_one_out
from mess_core.study.formats import COLD, FORMATS, HOT, TEST, VALIDATION, read_as
from mess_core.study.published import YAMBDA_TEST_S


def triples(rows) -> list[tuple[str, str, float]]:
    return [
        (rows.user_ids[user], rows.item_ids[item], weight)
        for user, item, weight in zip(rows.user, rows.item, rows.weight, strict=True)
    ]


def same(one, other) -> bool:
    columns = ("user", "item", "at_s", "weight")
    return (one.user_ids, one.item_ids) == (other.user_ids, other.item_ids) and all(
        np.array_equal(getattr(one, each), getattr(other, each), equal_nan=True) for each in columns
    )


# --- tables -------------------------------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path):
    def write(text: str | bytes, name: str = "t.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


ROWS = "user,item,when,plays\nann,x,9,1\nbo,y,3,2\nann,y,5,4\nbo,x,3,1\n"
SAID = {"user": "user", "item": "item", "at": "when", "weight": "plays"}


def test_a_table_is_in_order_of_time_and_equal_times_keep_that_of_the_file(write):
    rows = read_as("table", write(ROWS), **SAID).rows
    assert triples(rows) == [("ann", "y", 4), ("ann", "x", 1), ("bo", "y", 2), ("bo", "x", 1)]
    assert rows.at_s.tolist() == [5, 9, 3, 3]


@pytest.mark.parametrize("separator", ["\t", ";", "|", " "])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_any_separator_any_end_of_line_packed_or_not(write, separator, ends):
    text = ("\ufeff" + ROWS).replace(",", separator).replace("\n", ends).encode()
    expected = read_as("table", write(ROWS), **SAID).rows
    assert same(read_as("table", write(text, "a.tsv"), **SAID).rows, expected)
    assert same(read_as("table", write(bz2.compress(text), "a.tsv.bz2"), **SAID).rows, expected)


def test_parquet_is_the_same_as_csv_whatever_its_columns_are(write, tmp_path):
    expected = read_as("table", write(ROWS), **SAID).rows
    columns = {"user": ["ann", "bo", "ann", "bo"], "item": ["x", "y", "y", "x"], "plays": [1, 2, 4, 1]}
    for when in (pa.array([9, 3, 5, 3]), pa.array([9, 3, 5, 3], pa.timestamp("s")), pa.array([9.0, 3, 5, 3])):
        table = pa.table({**columns, "when": when, "more": [None] * 4})
        pq.write_table(table, tmp_path / "t.parquet", row_group_size=3)
        assert same(read_as("table", tmp_path / "t.parquet", **SAID).rows, expected)


def test_ids_written_as_decimals_are_one_id_each(write, tmp_path):
    """A column of whole numbers with one cell empty is written so by many programs."""
    rows = read_as("table", write("u,i\n1,7\n1.0,8.0\n2,7.0\n"), user="u", item="i").rows
    assert triples(rows) == [("1", "7", 1), ("1", "8", 1), ("2", "7", 1)]
    pq.write_table(pa.table({"u": [1.0, 1.0, 2.0], "i": [7, 8, 7]}), tmp_path / "t.parquet")
    assert same(read_as("table", tmp_path / "t.parquet", user="u", item="i").rows, rows)
    versions = read_as("table", write("u,i\n1.0,a\n1.1,a\n"), user="u", item="i").rows
    assert versions.user_ids == ("1.0", "1.1")


def test_cells_are_read_without_the_spaces_around_them(write):
    rows = read_as("table", write("u , i, w\na, x, 2\n a ,x,3\n"), user="u", item="i", weight="w").rows
    assert triples(rows) == [("a", "x", 2), ("a", "x", 3)]


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        ([b"a", b"b"], ("a", "b")), ([1, 2**40], ("1", str(2**40))), ([True, False], ("True", "False")),
        ([b"\xff", b"a"], None), ([[1], [2]], None), ([None, 1], None), ([float("nan"), 1.0], None),
    ],
)  # fmt: skip
def test_ids_of_parquet_are_text_or_numbers(tmp_path, ids, found):
    pq.write_table(pa.table({"u": ids, "i": [1, 2]}), tmp_path / "t.parquet")
    if found is None:
        with pytest.raises(InputError, match="has no 'u'"):
            read_as("table", tmp_path / "t.parquet", user="u", item="i")
    else:
        assert read_as("table", tmp_path / "t.parquet", user="u", item="i").rows.user_ids == found


@pytest.mark.parametrize("form", ["1970-01-01 00:0{}", "1970-01-01T00:0{}:00.000", "1970-01-01T00:0{}:00Z"])
def test_dates_are_seconds(write, form):
    text = f"u,i,t\na,x,{form.format(1)}\na,y,{form.format(0)}\n"
    assert read_as("table", write(text), user="u", item="i", at="t").rows.at_s.tolist() == [0, 60]


def test_who_has_one_row_only_trains_and_is_there(write):
    rows = read_as("table", write("u,i\na,x\nb,x\nb,y\n"), user="u", item="i").rows
    split = leave_one_out(rows)
    assert triples(split.train) == [("a", "x", 1), ("b", "x", 1)] and split.tested.tolist() == [1]


def test_rows_twice_are_one_pair_with_more_weight(write):
    rows = read_as("table", write("u,i\na,x\na,x\n"), user="u", item="i").rows
    assert len(rows) == 2 and rows.has.nnz == 1 and rows.matrix[0, 0] == 2


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("a,x\nb,y\n", {}, r"no columns 'u'. There is: a, x. If its first line is a row already"),
        ("u,i\n", {}, "holds no interactions"),
        ("", {}, "no columns 'u'"),
        ("u,i,u\na,x,b\n", {}, "has 2 columns 'u'"),
        ("u,i\na,x\n ,y\n", {}, "no 'u' in row 2"),
        ("u,i\na,x\nb\n", {}, "can be read: CSV parse error: Row #3: Expected 2 columns, got 1"),
        ("u,i\na,x\n,y\n", {}, r"no 'u' in row 2"),
        ("u,i,w\na,x,1\nb,y,lots\n", {"weight": "w"}, "Row 2 has 'lots' as 'w', expected a number"),
        ("u,i,w\na,x,1\nb,y,0\n", {"weight": "w"}, "weight of row 2 is 0"),
        ("u,i,t\na,x,1\nb,y,soon\n", {"at": "t"}, "Row 2 has 'soon' as 't', expected seconds or a date"),
        (bytes(range(128, 256)) * 9, {}, "no table that can be read"),
        (b"PAR1 and no more", {}, "no table that can be read"),
        (b"BZh but not", {}, "no table that can be read"),
    ],
)
def test_what_is_no_table_is_one_sentence(write, text, options, said):
    with pytest.raises(InputError, match=said):
        read_as("table", write(text), user="u", item="i", **options)


def test_a_file_without_a_header_is_read_by_names(write):
    rows = read_as("table", write("a 5 x\nb 6 y\n"), user="u", item="i", at="t", names=["u", "t", "i"]).rows
    assert triples(rows) == [("a", "x", 1), ("b", "y", 1)] and rows.at_s.tolist() == [5, 6]


def test_what_is_asked_for_must_be_there(write, tmp_path):
    with pytest.raises(InputError, match=r"no format 'csv'. Choose one of: sequences, table"):
        read_as("csv", write(ROWS))
    with pytest.raises(InputError, match=r"takes no option 'users'. It takes: user, item, at"):
        read_as("table", write(ROWS), users="u")
    with pytest.raises(InputError, match="needs user and item"):
        read_as("table", write(ROWS))
    with pytest.raises(InputError, match="seed is 'many', expected int"):
        read_as("music4all", write(ROWS), seed="many")
    with pytest.raises(InputError, match=r"known is 'yes', expected bool \| None"):
        read_as("cm100k", write(ROWS), known="yes")
    for name in FORMATS:
        options = {"user": "user", "item": "item"} if name == "table" else {}
        with pytest.raises((InputError, DataMissingError), match="nosuch"):
            read_as(name, tmp_path / "nosuch.txt", **options)


@pytest.mark.parametrize("name", ["music4all", "music4all-split", "hetrec-lastfm", "ml-1m", "cm100k", "yambda"])
def test_a_file_of_another_format_is_one_sentence(write, name):
    with pytest.raises(InputError, match=r"^t\.csv (has|is)"):
        read_as(name, write(ROWS))


@pytest.mark.slow
def test_a_million_rows_take_seconds(write):
    rng = np.random.default_rng(0)
    cells = zip(rng.integers(0, 9999, 10**6), rng.integers(0, 49999, 10**6), rng.integers(0, 10**9, 10**6), strict=True)
    path = write("user,item,time\n" + "\n".join(f"{user},{item},{at}" for user, item, at in cells))
    began = time.process_time()
    rows = read_as("table", path, user="user", item="item", at="time").rows
    assert len(rows) == 10**6 and time.process_time() - began < 10


# --- Music4All ----------------------------------------------------------------------------------------------

LOG = """user_id\ttrack_id\ttimestamp
8\t1\t2019-03-01 00:00:00
7\t1\t2019-02-20 10:00:00
7\t4\t2019-02-11 10:00:00
7\t3\t2019-02-10 10:00:00
7\t2\t2019-01-31 23:59:59
7\t1\t2018-12-02 10:00:00
7\t1\t2018-12-01 10:00:00
7\t5\t2018-01-31 23:59:59
8\t3\t2019-02-05 00:00:00
8\t2\t2019-02-01 00:00:00
8\t3\t2018-06-01 00:00:00
9\t2\t2019-02-03 00:00:00
10\t2\t2019-02-28 00:00:00
10\t1\t2018-07-01 00:00:00
"""


def test_first_plays_of_a_log_that_is_newest_first(write):
    """What was played before TEST trains, by how often until then; what is first played after it is tested."""
    found = read_as("music4all", write(LOG, "log.tsv"))
    assert triples(found.rows) == [("7", "1", 2), ("7", "2", 1), ("8", "3", 1), ("10", "1", 1)]
    assert found.rows.user_ids == ("7", "8", "10")  # 9 has no past; by value, not by letters
    assert triples(found.splits[COLD].test) == [("7", "4", 1)]
    hot = sorted(triples(found.splits[HOT].test) + triples(found.splits[VALIDATION].test))
    assert hot == [("10", "2", 1), ("7", "3", 1), ("8", "2", 1)]
    of_validation = {found.rows.user_ids[user] for user in found.splits[VALIDATION].test.user}
    assert len(of_validation) == 1 and "7" not in of_validation  # who has a cold row is tested
    assert found.splits[COLD].among.tolist() == [item == "4" for item in found.rows.item_ids]


@pytest.mark.parametrize("seed", range(3))
def test_validation_takes_none_of_those_with_a_cold_row(write, seed):
    rng = np.random.default_rng(seed)
    rows = [f"{user}\t{rng.integers(50)}\t2018-0{month}-01 00:00:00" for user in range(40) for month in (3, 4, 5, 6)]
    rows += [f"{user}\t{rng.integers(30, 54)}\t2019-02-0{day} 00:00:00" for user in range(40) for day in (1, 2)]
    text = "user_id\ttrack_id\ttimestamp\n" + "\n".join(rows[::-1]) + "\n"
    splits = read_as("music4all", write(text), seed=seed).splits
    users = {name: set(split.test.user.tolist()) for name, split in splits.items()}
    assert not users[VALIDATION] & users[COLD] and not users[VALIDATION] & users[HOT]
    without = (users[VALIDATION] | users[HOT]) - users[COLD]
    assert len(users[VALIDATION]) == len(without) - np.ceil(0.7 * len(without)) and users[VALIDATION]
    assert splits[HOT].train is splits[COLD].train is splits[VALIDATION].train


def test_a_log_in_any_order_packed_or_as_parquet_is_the_same(write, tmp_path):
    expected = read_as("music4all", write(LOG, "log.tsv"))
    head, *rows = LOG.splitlines()
    text = "\n".join([head, *np.random.default_rng(0).permutation(rows)]) + "\n"
    columns = [row.split("\t") for row in rows]
    table = pa.table(
        {
            "user_id": [int(row[0]) for row in columns],
            "track_id": [float(row[1]) for row in columns],
            "timestamp": pa.array([row[2] for row in columns]).cast(pa.timestamp("ns")),
        }
    )
    pq.write_table(table, tmp_path / "log.pqt", row_group_size=4)
    for path in (write(bz2.compress(text.encode()), "log.tsv.bz2"), tmp_path / "log.pqt"):
        found = read_as("music4all", path)
        assert same(found.rows, expected.rows)
        for name, split in expected.splits.items():
            assert same(found.splits[name].test, split.test), name


def test_equal_pairs_are_put_together_while_a_log_is_read(write, monkeypatch):
    expected = read_as("music4all", write(LOG, "log.tsv")).rows
    monkeypatch.setattr("mess_core.study.music4all.MOST_PAIRS", 2)
    monkeypatch.setattr("mess_core.study.tables.PIECE_BYTES", 100)
    assert same(read_as("music4all", write(LOG, "log.tsv")).rows, expected)


def test_the_first_protocol_divides_the_users_of_hot_rows(write):
    head = "user\tsong\ttimestamp\n"
    rows = [f"u{user}\ts{user % 3}\t2019-03-01 12:00\nu{user}\ts{(user + 1) % 3}\t2020-03-01 12:00\n"
            for user in range(10)]  # fmt: skip
    found = read_as(
        "music4all", write(head + "".join(rows) + "u1\tnew\t2020-03-01 12:00\n", "log.tsv"), protocol="2024"
    )
    users = [set(found.splits[name].test.user.tolist()) for name in (VALIDATION, HOT)]
    assert COLD not in found.splits and not users[0] & users[1] and [len(each) for each in users] == [5, 5]


def test_a_log_with_nothing_to_test_is_refused(write):
    with pytest.raises(InputError, match="2 pairs before 2019-02-01 and 0 from then on, expected some of both"):
        read_as("music4all", write("\n".join(LOG.splitlines()[:1] + LOG.splitlines()[5:8]) + "\n"))
    with pytest.raises(InputError, match="nothing from 2019-02-20"):
        read_as("music4all", write("user\tsong\ttimestamp\na\tx\t2010-01-01 00:00\n"), protocol="2024")
    with pytest.raises(InputError, match=r"no protocol '2020'. Choose one of: 2024, journal"):
        read_as("music4all", write(LOG), protocol="2020")


def test_the_published_parts_of_music4all(shared_rec):
    sizes = {"val": (48_787, 2_459, 23_625), "cold_test": (23_269, 4_553, 589)}
    users = []
    for name, size in sizes.items():
        found = read_as("music4all-split", shared_rec(f"music4all-{name}.pqt"))
        assert (len(found.rows), found.rows.n_users, found.rows.n_items) == size and not found.trains
        assert found.rows.at_s.min() >= 1548979200 and found.rows.at_s.max() < 1551398400  # February 2019
        users.append(set(found.rows.user_ids))
    assert not users[0] & users[1]


# --- others -------------------------------------------------------------------------------------------------


def test_the_play_counts_of_hetrec(shared_rec):
    """92 834 rows of 1 892 users are published; this copy has a user of twelve rows more."""
    found = read_as("hetrec-lastfm", shared_rec("hetrec-lastfm-user_artists.dat")).rows
    assert (len(found), found.n_users, found.n_items) == (92_834 + 12, 1892 + 1, 17_632)
    assert not found.is_timed and found.weight.max() == 352_698


def test_ratings_of_movielens_keep_the_order_of_the_file_within_a_second(write):
    rows = read_as("ml-1m", write("1::12::5::978300760\n1::9::3::978300760\n2::9::4::5\n1::3::4::978300759\n")).rows
    assert triples(rows) == [("1", "3", 1), ("1", "12", 1), ("1", "9", 1), ("2", "9", 1)]
    in_order = read_as("ml-1m", write("1 3\n1 12\n1 9\n2 9\n")).rows
    assert triples(in_order) == triples(rows) and not in_order.is_timed
    with pytest.raises(InputError, match="is none of MovieLens"):
        read_as("ml-1m", write("1 3 4\n"))


def test_ratings_that_were_asked_for(shared_rec, write):
    found = read_as("cm100k", shared_rec("cm100k-ratings.txt")).rows
    assert (len(found), found.n_users, found.n_items) == (103_584, 1_054, 1_084)
    known = read_as("cm100k", shared_rec("cm100k-ratings.txt"), known=True).rows
    assert len(known) == 11_594 and set(known.weight) == {1, 2, 3, 4}
    assert triples(read_as("cm100k", write("1 5 4 0\n1 6 2 1\n")).rows) == [("1", "5", 4), ("1", "6", 2)]
    with pytest.raises(InputError, match="rating of 9, expected 1 to 4"):
        read_as("cm100k", write("1 5 9 0\n"))


def yambda(tmp_path, **more):
    test_s = int(YAMBDA_TEST_S)
    day = 86_400
    rows = {
        "uid": pa.array([1, 1, 1, 1, 1, 2, 3], pa.uint32()),
        "item_id": pa.array([10, 11, 12, 13, 14, 15, 10], pa.uint32()),
        "timestamp": pa.array([5, test_s - day - 10, test_s - 1000, test_s, test_s + day, test_s + 5, 5], pa.uint32()),
        "is_organic": pa.array([1, 1, 0, 1, 1, 1, 0], pa.uint8()),
        **more,
    }
    pq.write_table(pa.table(rows), tmp_path / "likes.parquet")
    return tmp_path / "likes.parquet"


def test_a_day_is_held_back_with_half_an_hour_before_it(tmp_path):
    found = read_as("yambda", yambda(tmp_path))
    assert [item for _, item, _ in triples(found.splits[TEST].train)] == ["10", "11", "10"]  # 12 lies between
    assert [item for _, item, _ in triples(found.splits[TEST].test)] == ["13", "14"]  # 15 is by one without a past
    earlier = found.splits[VALIDATION]
    assert [item for _, item, _ in triples(earlier.train)] == ["10", "10"] and triples(earlier.test) == [("1", "11", 1)]


def test_of_plays_only_those_that_were_heard_and_of_all_those_of_ones_own(tmp_path):
    ratio = pa.array([100, 50, 49, 300, 49, 90, None], pa.uint16())
    plays = read_as("yambda", yambda(tmp_path, played_ratio_pct=ratio))
    assert triples(plays.rows) == [("1", "10", 1), ("1", "11", 1)] and plays.rows.user_ids == ("1", "2")
    assert triples(plays.splits[TEST].test) == [("1", "13", 1)]
    own = read_as("yambda", yambda(tmp_path), organic=True).rows
    assert triples(own) == [("1", "10", 1), ("1", "11", 1)] and "12" not in own.item_ids


def test_a_column_may_be_read_twice(write):
    rows = read_as("table", write("u,i,w\na,x,5\na,y,3\n"), user="u", item="i", at="w", weight="w").rows
    assert rows.at_s.tolist() == rows.weight.tolist() == [3, 5]
