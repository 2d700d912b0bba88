"""Notes: MIDI files read as notes, and notes played as audio."""
