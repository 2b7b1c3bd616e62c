"""The record of a run: an append-only, hash-chained log, sample files, and their verification without torch."""
