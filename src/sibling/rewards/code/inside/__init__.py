"""What runs in the sandbox; the standard library alone is imported here, and nothing of the rest of the package.

The sandbox's servers import these files without the package's own `__init__`, which needs more than that.
"""
