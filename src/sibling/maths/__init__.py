"""The maths of the objectives: pure functions of arrays and numbers, which import nothing of the package but errors."""
