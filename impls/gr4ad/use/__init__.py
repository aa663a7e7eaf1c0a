"""GR4AD on files of one's own: `remeasure do gr4ad tokenize`, `train` and `recommend`."""
