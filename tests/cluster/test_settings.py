"""Which cluster may be asked: what cannot be meant is said at once."""

from __future__ import annotations

import socket

import pytest

from mess_core.cluster import settings
from mess_core.cluster.settings import ClusterSettings, check_settings
from mess_core.errors import InputError


def test_an_address_that_does_not_answer_is_said_at_once(monkeypatch):
    monkeypatch.setattr(settings, "is_installed", lambda: True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # which nobody listens to
        with pytest.raises(InputError, match=f"No cluster answers at 127.0.0.1:{port}"):
            check_settings(ClusterSettings(f"127.0.0.1:{port}"))
    for address in ("here", "ray://127.0.0.1:10001", "127.0.0.1:port", ":6379", "127.0.0.1:99999"):
        with pytest.raises(InputError, match="is no address of a cluster"):
            check_settings(ClusterSettings(address))
    with pytest.raises(InputError, match="-1 workers were asked for"):
        check_settings(ClusterSettings(n_workers=-1))
