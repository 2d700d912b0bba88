"""Proxy targets: what of a recording, or of its MIDI, can be measured without a listener.

    registry    which targets there are, with unit, transform and how far to trust them
    audio       a sound file -> {target id: TargetValue}, for a track or for its segments
    midi        a performance's notes -> {target id: TargetValue}

What cannot be measured is NaN with a reason, never a filler.
"""
