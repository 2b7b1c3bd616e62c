"""sibling: group relative policy optimization."""
