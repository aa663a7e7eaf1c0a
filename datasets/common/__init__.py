"""Parts that two or more data sets share."""
