"""The mathematics verifier: exact arithmetic first, bounded algebra second, and never the text as code.

Read in this order: `extract` (where the answer stands), `tokens` and `parse` (our own grammar), `statements` (lists,
relations, texts), `forms` (exact normal forms), `compare` (what equals what), `symbolic` (a killable child), `reward`.
"""
