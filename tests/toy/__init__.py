"""Systems and a data set small enough for tests; found through REMEASURE_SYSTEMS and REMEASURE_DATASETS."""
