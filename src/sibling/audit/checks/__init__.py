"""Checks that take more than one completion: each is a function of the bench that gives findings."""
