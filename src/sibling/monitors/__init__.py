"""Detectors that turn the numbers of a step into findings a person can act on."""
