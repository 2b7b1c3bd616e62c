"""The code verifier: the tests run in one sandboxed process, the program in another, and values cross as data.

Read in this order: `reward` (the verifier, and what is protected), `extract` (where the program stands), `plan` (what
a task's columns ask for), `session` (one grading), `output` (standard output compared), `inside` (what runs in the
sandbox: `tester` and `candidate`, between them `wire`, `values` and `remote`).
"""
