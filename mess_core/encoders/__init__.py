"""Frozen music encoders behind one interface: `base.py` says what an encoder is, `registry.py` which there are."""
