"""Predictions: they come back as they were, and those of another result are refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load, save

from mess_core.errors import ArtefactMismatchError
from mess_core.probing.data import ProbeData
from mess_core.probing.predictions import predictions_to_bytes, with_predictions, without_predictions
from mess_core.probing.probe import fit_cells
from mess_core.probing.result import ProbeResult, ProbeSettings

QUICK = ProbeSettings(alphas=(10.0,), n_folds=3, n_repeats=1, n_bootstraps=0)


@pytest.fixture(scope="module")
def result() -> ProbeResult:
    """Three targets: one whole, one that half of the rows have, one that none has; groups with names of all kinds."""
    rng = np.random.default_rng(0)
    half = np.where(np.arange(60) % 2, rng.standard_normal(60), np.nan)
    targets = {"whole": rng.standard_normal(60), "half": half, "none": np.full(60, np.nan)}
    groups = [f"Bach: Präludium\n{row // 2}" for row in range(60)]
    found = fit_cells(ProbeData(rng.standard_normal((60, 2, 4)).astype(np.float32), targets, groups), QUICK)
    assert [len(summary.values) > 0 for summary in found.targets] == [True, True, False]
    return found


def test_they_come_back_as_they_were(result):
    data = predictions_to_bytes(result)
    assert data == predictions_to_bytes(result)
    bare = without_predictions(result)
    assert bare.groups == () and all(len(summary.values) == 0 for summary in bare.targets)
    assert bare.cells == result.cells
    whole = with_predictions(ProbeResult.from_dict(bare.to_dict()), data)
    assert whole.to_dict() == result.to_dict()
    assert not whole.targets[0].predicted.flags.writeable
    assert predictions_to_bytes(whole) == data


def test_at_segment_level_each_row_has_its_track(result):
    of_segments = replace(result, level="segment", tracks=tuple(f"track {row // 2}" for row in range(result.n_rows)))
    whole = with_predictions(without_predictions(of_segments), predictions_to_bytes(of_segments))
    assert whole.tracks == of_segments.tracks


@pytest.mark.parametrize("harm", ["format", "rows", "layers", "code", "names", "cut"])
def test_those_of_another_result_are_refused(result, harm):
    data = predictions_to_bytes(result)
    arrays, facts = load(data), {"format": "mess-predictions-1", "targets": ["whole", "half"]}
    if harm == "format":
        facts["format"] = "mess-predictions-0"
    elif harm == "rows":
        arrays["values"] = arrays["values"][:, 1:]
    elif harm == "layers":
        arrays["predicted"] = arrays["predicted"][:, 1:]
    elif harm == "code":
        arrays["groups"] = arrays["groups"] - 1
    elif harm == "names":
        arrays["names"] = np.frombuffer(b"[]", np.uint8)
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    harmed = data[:-1] if harm == "cut" else save(arrays, metadata={"mess": json.dumps(facts)})
    with pytest.raises(ArtefactMismatchError, match="another version" if harm == "format" else "damaged") as caught:
        with_predictions(without_predictions(result), harmed)
    assert "Probe again" in str(caught.value) or "Probe again" in caught.value.hint
