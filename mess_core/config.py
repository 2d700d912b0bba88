"""Constants with unit and source.

A choice that a user may change is an argument with a visible default, not a constant here.
"""

from __future__ import annotations

# --- segments ---------------------------------------------------------------------------------------------
SEGMENT_S = 5.0  # MERT's pre-training context (Li et al. 2023; its fairseq configuration: 122 880 samples at 24 kHz)
HOP_S = 2.5  # half a segment: every moment is seen twice
SHORT_S = 1.0  # below this an encoder sees too few frames to mean anything: a one-shot, which it is given repeated
MIN_DURATION_S = 0.1  # the shortest one-shot: below is a click
MAX_DURATION_S = 12 * 3600.0  # longer "recordings" are decompression bombs or forgotten recorders

# --- formats ----------------------------------------------------------------------------------------------
# What a folder is searched for. What a file is, its content decides (`audio.source`); a name only says where to look.
# Left out is `ts`, a film of a television that is more often the source text of a program.
_SOUND = """
wav wave bwf rf64 w64 aif aiff aifc caf au snd flac wv ape tta tak dsf dff mp3 mp2 mp1 mpa m2a mpga m4a m4b m4r f4a aac
adts alac ogg oga opus spx wma mpc ac3 eac3 ec3 dts dtshd amr mka weba shn voc
"""
_FILMS = "mp4 m4v f4v mov qt 3gp 3g2 mkv mk3d webm ogv avi wmv asf flv mpg mpeg vob m2ts mts m2t"  # their sound is read
AUDIO_SUFFIXES = frozenset(f".{name}" for name in f"{_SOUND} {_FILMS}".split())

# --- levels -----------------------------------------------------------------------------------------------
SILENCE_PEAK = 1e-4  # -80 dBFS: below the dither of a 16-bit recording's quietest passages

# --- server -----------------------------------------------------------------------------------------------
MAX_UPLOAD_BYTES = 2 * 10**9  # a 3-hour stereo CD-quality WAV
UPLOADS_QUOTA_BYTES = 20 * 10**9  # all uploads together; above it a new one is refused until old ones are swept
UPLOAD_KEEP_S = 7 * 24 * 3600.0  # an upload that joins no library is forgotten after this
ALL = "all"  # the union of all libraries
EXCERPT_MAX_S = 60.0  # 60 s of stereo 48 kHz 16-bit is 11.5 MB: a browser decodes it in a moment
EXCERPT_DEFAULT_S = 30.0
PEAKS_BINS = 800  # bars of a waveform: about one per CSS pixel of the player

# --- search -----------------------------------------------------------------------------------------------
# Gigabytes (1e9 bytes) that the rows of one index may take in memory. A library of more is read from the disk, by codes
# (`search.codes`). Vectors and the rows made of them are both there while an index is built: twice as much, half of a
# laptop of 16 GB.
SEARCH_MEMORY_GB = 4.0

# --- jobs -------------------------------------------------------------------------------------------------
LEASE_S = 30.0  # a worker that stays silent for this long has lost its job
HEARTBEAT_S = LEASE_S / 5

# A column of a table may have two companions: how much its ratings differ, and of how many people they are.
SPREAD, RATERS = " sd", " raters"
