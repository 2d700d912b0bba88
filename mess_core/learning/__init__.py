"""Learning: a similarity taught by people and by performances, tested on what it has not heard."""
