"""Texts of unlike kinds and languages, a tenant each: what variants of a language model are trained on."""
