"""The waveform that is shown: made once, and once more where what was kept is damaged."""

from __future__ import annotations

from mess_core.collections.opening import read_track
from mess_core.config import PEAKS_BINS
from mess_core.storage.files import unseal
from mess_core.workspace.peaks import sealed_peaks


def test_peaks_are_kept_and_made_again_when_damaged(home, write_wav):
    new = read_track(write_wav("a", 3.0, level=0.5))
    home.catalogue.add(new.audio.parent, [new], "music")
    data = sealed_peaks(home, new.track)
    (path,) = (home.paths.cache / "peaks").iterdir()
    document = unseal(data, path.name)
    assert len(document["peaks"]) == PEAKS_BINS and 0.4 < max(document["peaks"]) < 0.8
    assert document["duration_s"] == 3.0 and path.read_bytes() == data
    path.write_bytes(data.replace(b"0.5", b"0.4", 1))
    assert sealed_peaks(home, new.track) == data == path.read_bytes()
