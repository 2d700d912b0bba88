"""Windows: histories of users as tokens, in pieces of one length, for networks that read them in order.

    x1 x2 x3 x4 x5 x6  ->  x3 x4 x5 x6      the newest, which is read when recommending
                           .  x1 x2 x3      the one before it; . is PAD

Of a history longer than a window, most would never be learned from if only the newest were cut. On LastFM that is half
of all rows, and their loss costs SASRec a fifth of the nDCG of what it holds out.
"""

from __future__ import annotations

import numpy as np

from mess_core.recommend.columns import HeldOut, Interactions
from mess_core.recommend.transformer import FIRST_ITEM, PAD

FEWEST_ROWS = 3  # of a user whose last item is held out: two are left, one after the other


def windows(train: Interactions, known: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Histories as tokens, in order, cut from the newest backwards; `PAD` before the oldest.

    A window begins with the item that the one before it ends with, so that each but the very first stands once after
    another.

    Parameters
    ----------
    train : Interactions
    known : ndarray, shape (n_known,), int64
        Items in the order of their tokens, from `FIRST_ITEM` on; others are left out.
    most : int

    Returns
    -------
    ndarray, shape (n_windows, most + 1), int64
        Of a user, the newest first.
    ndarray, shape (n_windows,), int64
        Whose each is.

    Examples
    --------
    >>> from mess_core.recommend.columns import interactions_of
    >>> windows(interactions_of(list("aaab"), list("xyzz")), np.array([0, 1, 2]), 2)
    (array([[2, 3, 4],
           [0, 0, 2],
           [0, 0, 4]]), array([0, 0, 1]))
    """
    token_of = np.full(train.n_items, PAD)
    token_of[known] = FIRST_ITEM + np.arange(len(known))
    train = train.only(token_of[train.item] != PAD)
    n_rows = np.bincount(train.user, minlength=train.n_users)
    n_windows = -(-n_rows // most)
    newer = np.cumsum(n_rows)[train.user] - 1 - np.arange(len(train))  # rows of the same user after each
    window = (np.cumsum(n_windows) - n_windows)[train.user] + newer // most
    found = np.full((n_windows.sum(), most + 1), PAD)
    found[window, most - newer % most] = token_of[train.item]
    begins = (newer > 0) & (newer % most == 0)  # the window after its own, too
    found[window[begins] - 1, 0] = token_of[train.item[begins]]
    return found, np.repeat(np.arange(train.n_users), n_windows)


def newest(train: Interactions, known: np.ndarray, most: int) -> np.ndarray:
    """The newest window of each user, (n_users, most + 1) int64; nothing but `PAD` where there is none."""
    tokens, user = windows(train, known, most)
    users, row = np.unique(user, return_index=True)
    found = np.full((train.n_users, most + 1), PAD)
    found[users] = tokens[row]
    return found


def hold_out_last(train: Interactions) -> HeldOut:
    """The last row of each user who has enough; the others only train."""
    n_rows = np.bincount(train.user, minlength=train.n_users)
    is_last = np.diff(train.user, append=-1) != 0
    is_tested = is_last & (n_rows[train.user] >= FEWEST_ROWS)
    return HeldOut(train.only(~is_tested), train.only(is_tested), "the last item of each user is held out")
