"""Where text that is not trusted is computed with: killable workers for our own code, a sandbox for theirs."""
