"""Handing over: a library as a folder that another machine, another program or a service can read."""
