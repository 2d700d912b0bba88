"""Many people ask at the same moment: how long does each wait, and is every answer the one a single person would get?

A real server, and sessions that speak Streamlit's protocol to it, each with another recording for its query. All move
the same slider at once; a wait ends when the server says that the run is over. Beside it: what Streamlit alone takes
for an empty page and for a page with one table, what the runs would take one after the other, and the processor time
of the server for one run: on a busy machine that is the figure to compare.

    python -m benchmarks.sessions [--home DIR]          the library `demo` of a data folder, embedded and probed
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.Slider_pb2 import Slider

from benchmarks.listen import ROOT, served
from mess_core.workspace.workspace import Workspace

GOAL_S = 4.0  # the 95th percentile of fifty
PATIENCE_S = 300.0
EMPTY_PAGE = """
    import streamlit as st
    st.slider("brightness", 0.0, 1.0, step=0.1)
"""
TABLE_PAGE = """
    import streamlit as st
    weight = st.slider("brightness", 0.0, 1.0, step=0.1)
    st.dataframe([{"rank": n, "title": f"track {n}", "similarity": weight - n / 100} for n in range(10)],
                 column_config={"similarity": st.column_config.NumberColumn(format="%.3f")})
"""


@dataclass
class Session:
    """One browser tab, without the browser."""

    socket: websockets.ClientConnection
    query_string: str
    page_name: str
    sliders: dict[str, Slider] = field(default_factory=dict)  # by label, without dots
    tables: list[bytes] = field(default_factory=list)  # of the last run

    async def ask(self, brightness: float | None = None) -> float:
        """Run the page, with the slider where it is wanted; returns seconds until the run was over."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_name = self.query_string, self.page_name
        if brightness is not None:
            slider, widget = self.sliders["brightness"], state.widget_states.widgets.add()
            widget.id = slider.id
            if slider.options:  # a dial: the first says that it must not count, then come the tenths
                widget.string_array_value.data.append(slider.options[1 + round(10 * brightness)])
            else:
                widget.double_array_value.data.append(brightness)
        started = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        self.tables = []
        async for data in self.socket:
            reply = ForwardMsg.FromString(data)
            kind = reply.WhichOneof("type")
            if kind == "delta" and reply.delta.WhichOneof("type") == "new_element":
                self._keep(reply.delta.new_element)
            elif kind == "script_finished" and reply.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                return time.perf_counter() - started
        raise RuntimeError("the server closed the connection")

    def _keep(self, element) -> None:
        kind = element.WhichOneof("type")
        if kind == "exception":
            raise RuntimeError(f"the page failed: {element.exception.message}")
        if kind == "slider":
            self.sliders[element.slider.label.split()[0].lower()] = element.slider
        elif kind == "dataframe":
            self.tables.append(element.dataframe.arrow_data.data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="the data folder (default: as for the app)")
    parser.add_argument("--sessions", type=int, nargs="+", default=[10, 50, 100])
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(arguments.home)
        heads = "".join(f"{head:>9}" for head in ("people", "alone", "median", "p95", "last", "queued", "cpu/run"))
        print(f"{'page':<12}{heads}  answers")
        for name, source in (("empty page", EMPTY_PAGE), ("one table", TABLE_PAGE), ("Listen", None)):
            entry = ROOT / "app.py"
            if source is not None:
                entry = Path(folder, f"{name.replace(' ', '_')}.py")
                entry.write_text(textwrap.dedent(source))
            with served(entry, workspace) as (url, process_id):
                for n_sessions in arguments.sessions:
                    asyncio.run(measure(name, url, workspace, n_sessions, process_id))
    print(f"load {os.getloadavg()[0]:.1f}")


async def measure(name: str, url: str, workspace: Workspace, n_sessions: int, process_id: int) -> None:
    """One line of the table."""
    track_ids = workspace.catalogue.track_ids("demo")
    page_name = "Listen" if name == "Listen" else ""
    sessions = [
        await opened(url, page_name, f"library=demo&query={track_ids[number % len(track_ids)]}" if page_name else "")
        for number in range(n_sessions)
    ]
    for session in sessions:
        await session.ask()
    cpu_s = used_s(process_id)
    waits = await asyncio.gather(*(session.ask(0.5) for session in sessions))
    cpu_s = (used_s(process_id) - cpu_s) / n_sessions
    together = [session.tables for session in sessions]
    alone = []
    for session in sessions:
        alone.append(await session.ask(0.3))  # another answer than before: nothing of it can be at hand
        await session.ask(0.5)
    right = sum(session.tables == tables for session, tables in zip(sessions, together, strict=True))
    p95 = float(np.quantile(waits, 0.95))
    queued = median(alone) * n_sessions
    goal = f"  goal {GOAL_S:g}" if name == "Listen" and n_sessions == 50 else ""
    print(
        f"{name:<12}{n_sessions:>9}{median(alone):>9.3f}{median(waits):>9.2f}{p95:>9.2f}{max(waits):>9.2f}"
        f"{queued:>9.2f}{cpu_s:>9.3f}  {right} of {n_sessions} right{goal}",
        flush=True,
    )
    for session in sessions:
        await session.socket.close()


def used_s(process_id: int) -> float:
    """Processor time of a process so far, of all its threads."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def opened(url: str, page_name: str, query_string: str) -> Session:
    """A session of a page, which has not run yet."""
    socket = await websockets.connect(
        f"{url.replace('http', 'ws', 1)}/_stcore/stream",
        subprotocols=[websockets.Subprotocol("streamlit")],
        origin=websockets.Origin(url),
        max_size=None,
        open_timeout=PATIENCE_S,
        ping_interval=None,
    )
    return Session(socket, query_string, page_name)


if __name__ == "__main__":
    main()
