"""What papers say of GRPO and its relatives, measured again on policies small enough for two cores."""
