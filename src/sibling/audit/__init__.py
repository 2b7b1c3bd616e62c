"""Audit of rewards: how often a verifier refuses what is right and pays for what is wrong, measured.

In the order of the work: `kinds` (seeds, variants, probes), `target` and `child` (the reward, called in child
processes), `seeds` (what the probes are made from), `probes` (one module a group), `checks` (what takes more than one
completion), `run` (`audit`), `statistics`, `shrink`, `report` and its renderings, `command` and `pytest_plugin`.
"""
