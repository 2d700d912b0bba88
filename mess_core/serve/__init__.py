"""The service: what the command line answers, over HTTP."""
