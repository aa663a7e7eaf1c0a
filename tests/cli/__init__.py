"""Tests of the command line, on the toy systems."""
