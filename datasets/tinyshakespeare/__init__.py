"""Tiny Shakespeare: a megabyte of plays that small character models are trained on."""
