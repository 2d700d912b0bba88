"""Where the workers of a crew are."""

from __future__ import annotations

import pytest

from mess_core.cluster.crew import Crew
from mess_core.cluster.settings import ClusterSettings
from mess_core.embeddings.cluster import Embedding
from mess_core.encoders.mel import MEL
from mess_core.errors import InputError
from mess_core.targets.cluster import Measuring
from tests.machines import FakeRay, Node


def test_workers_are_one_for_each_gpu_or_for_so_many_cores():
    """A machine without a GPU has none where others have one: its cores decode."""
    gpus = Crew(FakeRay([Node("a", 16, 4), Node("b", 64)]), Embedding([MEL]), ClusterSettings()).places
    assert [(place.name, place.n_gpus, place.n_decoders) for place in gpus] == [("a", 1, 3)] * 4
    cores = Crew(FakeRay([Node("a", 5), Node("b", 1)]), Embedding([MEL]), ClusterSettings(n_cores=2)).places
    assert [(place.name, place.n_gpus, place.n_decoders) for place in cores] == [("a", 0, 0)] * 2
    assert len(Crew(FakeRay([Node("a", 8)]), Embedding([MEL]), ClusterSettings(n_workers=3)).places) == 3
    with pytest.raises(InputError, match="No machine of the cluster has 2 cores for a worker"):
        Crew(FakeRay(), Embedding([MEL]), ClusterSettings(n_cores=2))


def test_whoever_uses_no_gpu_has_all_cores():
    """Of machines with GPUs, too; what measures leaves the GPUs alone."""
    places = Crew(FakeRay([Node("a", 4, 2), Node("b", 1)]), Measuring(), ClusterSettings()).places
    assert [(place.name, place.n_gpus, place.n_decoders) for place in places] == [("a", 0, 0)] * 4 + [("b", 0, 0)]
