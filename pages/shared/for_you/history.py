"""What was heard, on 7_For_You: to look at, to bring in from elsewhere, to take along, and to forget."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path

import streamlit as st

from mess_core.handover.events import TakenEvents, export_events, import_events
from mess_core.numbers import percent
from mess_core.recommend.for_you import latest_events
from mess_core.recommend.simulated import is_simulated
from mess_core.words import counted, listed
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, resources
from pages.shared.app.table import show_table
from pages.shared.for_you.rows import begin_list_anew

MOST_SHOWN = 100
TAKEN, FORGOTTEN = "events taken in", "events forgotten"
DID = {"play": "heard", "skip": "skipped", "like": "liked", "dislike": "disliked"}


def show(scope: Scope, listener: str) -> None:
    """All that is kept of a listener."""
    with st.expander("What you have heard", icon=":material/history:"):
        _show_latest(scope, listener)
        if is_simulated(listener):
            return
        _bring_in(listener)
        _take_along(listener)
        _forget(listener)


def _show_latest(scope: Scope, listener: str) -> None:
    past = latest_events(scope, listener, MOST_SHOWN)
    if not past:
        st.text("Nothing yet.")
        return
    show_table(
        [
            {
                "when": dt.datetime.fromtimestamp(each.at_s),
                "track": each.title,
                "what": DID[each.action],
                "of it": "" if each.share is None else percent(100 * each.share),
            }
            for each in past
        ],
        key="heard lately", height=240,
        column_config={"when": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm", width=140)},
        alt="What was heard last, the latest first",
    )  # fmt: skip


def _bring_in(listener: str) -> None:
    given = st.file_uploader(
        "Bring what you heard elsewhere: an export of ListenBrainz, Last.fm or Spotify (as it came, also as a zip), or "
        "a table with artist, title and time.",
        type=["json", "jsonl", "csv", "tsv", "parquet", "zip"], key="import events",
    )  # fmt: skip
    if given is not None and st.button("Take it in", key="take events in"):
        with frame.explain_errors(), tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / frame.file_name(given.name)  # so that a sentence names it as its owner does
            path.write_bytes(given.getvalue())
            with st.spinner("Reading, and looking for these recordings here…"):
                st.session_state[TAKEN] = import_events(resources.workspace(), path, listener=listener)
            begin_list_anew()
            st.rerun()
    if (taken := st.session_state.pop(TAKEN, None)) is not None:
        _show_taken(taken)


def _show_taken(taken: TakenEvents) -> None:
    st.text(taken.summary)
    for name, why in taken.refused:
        st.text(f"{name}: {why}")
    if taken.unmatched:
        st.text("Most often not here: " + listed([f"{name} ({n:,})" for name, n in taken.unmatched]) + ".")


def _take_along(listener: str) -> None:
    with st.container(horizontal=True, gap="small"):
        for ending, label in (("parquet", "Parquet"), ("csv", "CSV")):
            st.download_button(
                label, lambda ending=ending: _table(ending, listener), f"heard.{ending}", on_click="ignore",
                key=f"export heard {ending}",
            )  # fmt: skip


def _table(ending: str, listener: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"heard.{ending}"
        export_events(resources.workspace(), path, listener=listener)
        return path.read_bytes()


def _forget(listener: str) -> None:
    """Some days of it, or all; it is gone then."""
    opinions = resources.workspace().opinions
    with st.popover("Forget", icon=":material/delete:"):
        some = st.radio("What", ["Everything", "Only some days"], key="what to forget") == "Only some days"
        days = st.date_input("From and to", value=(), key="days to forget") if some else ()
        from_s, to_s = _span_s(days)
        is_clear = not some or from_s is not None
        n = opinions.n_kept(listener, from_s, to_s) if is_clear else 0
        st.text(
            f"Deletes {counted(n, 'event')} of {listener}: what was heard, and thumbs. This cannot be undone."
            if is_clear
            else "Choose the first day and the last."
        )
        if st.button("Forget it", key="really forget", type="primary", disabled=not n):
            st.session_state[FORGOTTEN] = opinions.forget(listener, from_s, to_s)
            begin_list_anew()
            st.rerun()
    if (n_gone := st.session_state.pop(FORGOTTEN, None)) is not None:
        st.text(f"{counted(n_gone, 'event')} forgotten.")


def _span_s(days: object) -> tuple[float | None, float | None]:
    """From the beginning of the first day to the end of the last, by the clock of this machine."""
    if not isinstance(days, tuple) or len(days) < 2:
        return None, None
    first, last = days[0], days[-1]
    midnight = dt.time()
    after = dt.datetime.combine(last + dt.timedelta(days=1), midnight)
    return dt.datetime.combine(first, midnight).timestamp(), after.timestamp()
