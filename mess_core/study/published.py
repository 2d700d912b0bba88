"""Published interactions, each in the form in which its authors gave it; what is odd about each stands with its reader.

    hetrec-lastfm   plays of artists, by listener; no times            columns userID, artistID, weight
    ml-1m           films, by time: `user::item::rating::time`; or in order, `user item`, as others prepared it
    cm100k          tracks that were asked for at random, rated 1 to 4: no item is better known for being popular
    yambda          plays or likes of tracks, with times, and a day held back for all

Times that are equal keep the order of the file. In MovieLens half of the ratings share their second with others of the
user, and orders of these apart moved published figures.

Source
------
Cantador, Brusilovsky & Kuflik (2011), HetRec; Harper & Konstan (2015), The MovieLens datasets; Cañamares & Castells
(2018), Should I follow the crowd? (CM100k); Ploshkin et al. (2025), Yambda-5B (arXiv 2505.22238) and its benchmark.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mess_core.errors import InputError
from mess_core.recommend.columns import HeldOut, Interactions, of_numbers
from mess_core.storage.untrusted import printable
from mess_core.study.tables import column_names, first_line, numbered, numbers, pieces, read_rows

DAY_S, HALF_HOUR_S = 86_400.0, 1_800.0
YAMBDA_TEST_S = 26_000_000 - DAY_S  # its last day; its seconds begin at 0
YAMBDA_HEARD = 50.0  # percent of a track, from which a play speaks for it


def read_hetrec(path: Path) -> Interactions:
    """`user_artists.dat`: how often each listener played each artist; the number of plays is the weight."""
    return read_rows(path, "userID", "artistID", weight="weight", separator="\t")


def read_movielens(path: Path) -> Interactions:
    """`ratings.dat` of ML-1M, all ratings whatever they are, in order of time; or `ml-1m.txt`, in order already."""
    if "::" in first_line(path):
        # Two colons are two separators with a column of no name between them.
        names = ("user", "", "item", " ", "rating", "  ", "time")
        return read_rows(path, "user", "item", at="time", names=names, separator=":")
    line = first_line(path)
    if len(line.split()) != 2:
        raise InputError(
            f"{printable(path.name)} is none of MovieLens: its first line is {printable(line)[:80]!r}.",
            "Expected `user::item::rating::time`, or `user item`.",
        )
    return read_rows(path, "user", "item", names=("user", "item"), separator=" ")


def read_cm100k(path: Path, known: bool | None = None) -> Interactions:
    """Ratings of 1 to 4, which are the weights: from 3 on a track was liked.

    Parameters
    ----------
    known : bool, optional
        Only tracks that the listener knew before, or only others; by default both.
    """
    names = ("user", "item", "rating", "known")
    separator = "\t" if "\t" in first_line(path) else " "
    at = "" if known is None else "known"  # there are no times
    found = read_rows(path, "user", "item", at, "rating", names=names, separator=separator)
    is_rating = np.isin(found.weight, (1, 2, 3, 4))
    if not is_rating.all():
        odd = found.weight[np.argmin(is_rating)]
        raise InputError(f"{printable(path.name)} has a rating of {odd:g}, expected 1 to 4.", "Is it CM100k?")
    if known is None:
        return found
    rows = found.only(found.at_s == known)
    return of_numbers(rows.user_ids, rows.item_ids, rows.user, rows.item, weights=rows.weight)


def read_yambda(path: Path, organic: bool | None = None, heard: float = YAMBDA_HEARD) -> Interactions:
    """Likes or listens in the flat form; of plays, those of which enough was heard.

    Parameters
    ----------
    organic : bool, optional
        Only what listeners chose themselves, or only what was recommended to them; by default both.
    heard : float
        Percent of a track that was played, at least.
    """
    import pyarrow as pa

    there = column_names(path)
    if "uid" not in there or "item_id" not in there:
        raise InputError(
            f"{printable(path.name)} is none of Yambda in the flat form: its columns are {', '.join(there)[:200]}.",
            "Expected uid, item_id, timestamp, and, of plays, played_ratio_pct.",
        )
    is_plays = "played_ratio_pct" in there
    asked = ["uid", "item_id", "timestamp", *["is_organic"] * (organic is not None), *["played_ratio_pct"] * is_plays]
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    parts: list[tuple[np.ndarray, ...]] = []
    for piece in pieces(path, asked):
        counts = np.ones(piece.num_rows, bool)
        if is_plays:
            counts &= piece.column("played_ratio_pct").fill_null(0).to_numpy() >= heard
        if organic is not None:
            counts &= piece.column("is_organic").to_numpy(zero_copy_only=False).astype(bool) == organic
        kept = piece.filter(pa.array(counts))
        user = numbered(kept.column("uid"), users, f"{printable(path.name)} has no listener")
        item = numbered(kept.column("item_id"), items, f"{printable(path.name)} has no track")
        parts.append((user, item, numbers(kept.column("timestamp"), "timestamp", is_time=True)))
    if not sum(len(user) for user, *_ in parts):
        raise InputError(f"{printable(path.name)} has nothing of which {heard:g} % was heard.", "Ask for less.")
    return of_numbers(tuple(users), tuple(items), *(np.concatenate(each) for each in zip(*parts, strict=True)))


def split_yambda(rows: Interactions, validation: bool = False, test_s: float = YAMBDA_TEST_S) -> HeldOut:
    """One day is tested, of all users at once; between it and what is trained on half an hour is left out.

    Parameters
    ----------
    validation : bool
        Hold back the day before, as much earlier, for choosing settings.
    """
    from_s = test_s - (DAY_S + HALF_HOUR_S) * validation
    train = rows.only(rows.at_s < from_s - HALF_HOUR_S)
    test = rows.only((rows.at_s >= from_s) & (rows.at_s < from_s + DAY_S) if validation else rows.at_s >= from_s)
    is_known = np.isin(test.user, train.user)
    return HeldOut(train, test.only(is_known), "one day of all users is tested, half an hour after what is trained on")
