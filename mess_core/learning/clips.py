"""Clips: which seconds of three recordings are heard beside each other, and how they are made to sound alike in level.

Who judges how something is played should hear the same notes three times: where all three know the times of one score,
the same bars are cut out. Else, of recordings of one work, the same share of the way from the first sound to the last
is; and of a short recording, all of it.

What is heard says nothing of where it comes from: as loud as any other clip, faded at both ends, and without names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mess_core.audio.decode import read_excerpt
from mess_core.audio.loudness import LoudnessMeter
from mess_core.audio.preview import TARGET_LUFS, faded
from mess_core.catalogue.catalogue import Track
from mess_core.catalogue.passages import Passages
from mess_core.catalogue.sittings import Clip

CLIP_S = 10.0  # eight to twelve seconds: a phrase, and short enough to be held in memory beside two others
LONGEST_CLIP_S = 12.0  # a shorter recording is heard whole
SHORTEST_PASSAGE_S, LONGEST_PASSAGE_S = 4.0, 20.0  # of the same bars in faster and slower hands
PEAK_DB = -1.0  # below full scale: nothing is amplified beyond it


def cut_clips(tracks: Sequence[Track], passages: Passages, library: str, share: float) -> tuple[Clip, ...]:
    """Where three recordings are heard, the anchor first; `share`, 0 to 1, says how far into the music."""
    same = _same_bars(tracks, passages, library, share)
    return same or tuple(_at_share(track, share) for track in tracks)


def _same_bars(tracks: Sequence[Track], passages: Passages, library: str, share: float) -> tuple[Clip, ...]:
    """The same bars of all; nothing where no score is known to all of them."""
    anchor = _at_share(tracks[0], share)
    found = passages.same(anchor.track_id, anchor.start_s, anchor.end_s, library)
    if found is None:
        return ()
    by_track = {each.track_id: each for each in (found.asked, *found.others)}
    if any(track.track_id not in by_track for track in tracks):
        return ()
    clips = tuple(
        Clip(track.track_id, by_track[track.track_id].start_s, by_track[track.track_id].end_s) for track in tracks
    )
    is_fit = all(SHORTEST_PASSAGE_S <= clip.end_s - clip.start_s <= LONGEST_PASSAGE_S for clip in clips)
    return clips if is_fit else ()


def _at_share(track: Track, share: float) -> Clip:
    first_s, last_s = track.extent_s
    if last_s - first_s <= LONGEST_CLIP_S:
        return Clip(track.track_id, first_s, last_s)
    start_s = first_s + share * (last_s - first_s - CLIP_S)
    return Clip(track.track_id, round(start_s, 2), round(start_s + CLIP_S, 2))


def read_clip(path: Path, clip: Clip) -> tuple[np.ndarray, int]:
    """The sound of a clip.

    Returns
    -------
    ndarray, shape (n_samples, n_channels), float32
        At `TARGET_LUFS` as heard from two speakers, or as near to it as its peak allows.
    int, Hz

    Raises
    ------
    AudioError
        If the file is gone, or is no audio that MESS reads.
    """
    audio, rate_hz = read_excerpt(path, clip.start_s, clip.end_s - clip.start_s)
    both = audio if audio.shape[1] == 2 else np.repeat(audio, 2, axis=1)
    meter = LoudnessMeter(rate_hz, 2)
    meter.add(both)
    loudness_lufs = meter.integrated_lufs()
    peak = float(np.abs(audio).max(initial=0.0))
    if loudness_lufs is not None and np.isfinite(loudness_lufs) and peak > 0:
        gain = min(10 ** ((TARGET_LUFS - loudness_lufs) / 20), 10 ** (PEAK_DB / 20) / peak)
        audio = audio * np.float32(gain)
    return faded(audio, rate_hz), rate_hz
