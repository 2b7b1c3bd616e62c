"""A run from its first event to its last: the only package that writes the record."""
