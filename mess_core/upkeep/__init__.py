"""Upkeep: a data folder verified, swept, copied, and its catalogue built again from the files beside it."""
