"""How MESS-nano is made: from MIDI to recordings with known answers, to weights, to the figures beside its controls.

Nothing in `mess_core` knows of this folder. The order in which to read it is in its README.
"""
