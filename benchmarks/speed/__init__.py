"""Speed and memory of this package and of its peers, measured in turn on one machine; `run.py` is the entry."""
