"""The tripwire: a file that exists only if a reward ran code out of a completion.

The audited reward works in an empty folder. Injected code creates the file `NAME` there, or the one the environment
variable `VARIABLE` names; both are the same file.
Covered: every new entry in that folder, whatever its name. Not covered: code that leaves no trace there.
"""

from __future__ import annotations

NAME = "sibling_audit_tripwire"
VARIABLE = "SIBLING_AUDIT_TRIPWIRE"
