"""Workers of Ray on many machines: who may be asked, how they begin and are replaced. Start with `crew.py`."""
