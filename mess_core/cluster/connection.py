"""A connection to a cluster; one of this machine alone is begun for it, and nothing of it is left afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mess_core.cluster.settings import LOCAL, ClusterSettings, no_answer

LOCAL_OBJECTS_BYTES = 2**28  # of shared memory
FOLDER = "mess-ray-"  # then the process that it belongs to


@contextlib.contextmanager
def connected(settings: ClusterSettings) -> Iterator[Any]:
    """Ray, while it is connected to; a local one lives as long, and listens to this machine alone."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if settings.address == LOCAL:
        # Ray's own switch for systems whose firewall asks: everything listens on the loopback device, and on no other.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray
    import ray.util.scheduling_strategies

    folder = new_folder() if settings.address == LOCAL else None
    common = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False, "logging_level": "ERROR"}
    try:
        if folder:
            n_cores = max(os.cpu_count() or 1, settings.n_cores * (settings.n_workers or 1))
            n_cores += (settings.n_decoders or 0) * (settings.n_workers or 1)
            ray.init(num_cpus=n_cores, object_store_memory=LOCAL_OBJECTS_BYTES, _temp_dir=folder, **common)
        else:
            del common["include_dashboard"]
            ray.init(address=settings.address, **common)
    except Exception as error:  # what is wrong with a cluster is said in many ways
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        raise no_answer(settings.address, error) from error
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Ray says there what died; a document may be on standard output
            yield ray
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def new_folder() -> str:
    """Where a local cluster has its sockets, whose names may not be long; those of runs that were killed go."""
    place = Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())
    for left in place.glob(f"{FOLDER}*-*"):
        pid = left.name.removeprefix(FOLDER).partition("-")[0]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except (ValueError, OSError):  # of somebody else
            continue
    return tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-", dir=place)
