"""A world of ads and users whose truth is known: the embedded default of generative recommendation for ads."""
