"""Frames on the disk: read as far as they are looked at, whatever the layers are wide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.embeddings.hidden_states import RawWriter, open_raw, read_raw
from mess_core.errors import ArtefactMismatchError
from tests.conftest import FakeEncoder

STARTS_S = np.array([0.0, 2.5, 4.0], np.float32)


@pytest.mark.parametrize("widths", [(), (3, 1)])
def test_frames_are_mapped_as_they_are_read(tmp_path, widths):
    """Each layer, several layers, and the time of each frame; a narrow layer is 0 at its end."""
    info = replace(FakeEncoder().info, widths=widths)
    states = np.random.default_rng(0).standard_normal((3, 2, 50, 3)).astype(np.float16)
    if widths:
        states[:, 1, :, 1:] = 0
    writer = RawWriter(tmp_path / "t.safetensors", widths)
    for segment in states:
        writer.add(segment)
    writer.close()
    frames = open_raw(tmp_path / "t.safetensors", STARTS_S, info)
    np.testing.assert_array_equal(read_raw(tmp_path / "t.safetensors"), states)
    assert frames.shape == states.shape and isinstance(frames.numbers, np.memmap)
    np.testing.assert_array_equal(frames.layer(0), states[:, 0])
    np.testing.assert_array_equal(frames.layer(1), states[:, 1, :, : widths[1] if widths else 3])
    rows = states[:, [1, 0]].swapaxes(1, 2).reshape(150, 2, 3)
    np.testing.assert_array_equal(frames.of_layers([1, 0]), rows)
    np.testing.assert_allclose(frames.times_s[:, 0], STARTS_S + 0.05)
    np.testing.assert_allclose(np.diff(frames.times_s, axis=1), 0.1)
    with pytest.raises(ArtefactMismatchError, match="2 segments were heard"):
        open_raw(tmp_path / "t.safetensors", STARTS_S[:2], info)
    (tmp_path / "t.safetensors").write_bytes(b"nothing")
    with pytest.raises(ArtefactMismatchError):
        open_raw(tmp_path / "t.safetensors", STARTS_S, info)


@pytest.mark.parametrize("widths", [(), (3, 1)])
@pytest.mark.parametrize("lengths", [(50, 20, 50), (20, 50, 30), (10, 20, 50)])
def test_shorter_segments_lack_frames(tmp_path, widths, lengths):
    """Whichever comes first: what a segment lacks is NaN, and the file is whole."""
    info = replace(FakeEncoder().info, widths=widths)
    rng = np.random.default_rng(0)
    segments = [rng.standard_normal((2, n, 3)).astype(np.float16) for n in lengths]
    if widths:
        for segment in segments:
            segment[1, :, 1:] = 0
    writer = RawWriter(tmp_path / "t.safetensors", widths)
    for segment in segments:
        writer.add(segment)
    writer.close()
    read = read_raw(tmp_path / "t.safetensors")  # verifies the hash
    frames = open_raw(tmp_path / "t.safetensors", STARTS_S, info)
    assert read.shape == frames.shape == (3, 2, 50, 3) and frames.is_there.sum(axis=1).tolist() == list(lengths)
    for segment, kept in zip(segments, read, strict=True):
        n = segment.shape[1]
        np.testing.assert_array_equal(kept[:, :n], segment)
        assert np.isnan(kept[0, n:]).all()
    rows = np.concatenate([segment[1] for segment in segments])
    np.testing.assert_array_equal(frames.of_layers([1])[:, 0], rows)
