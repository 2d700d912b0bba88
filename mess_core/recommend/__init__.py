"""Recommending: from what somebody heard and said to what they may want to hear next, and why."""
