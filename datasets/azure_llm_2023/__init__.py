"""Azure LLM inference traces of 2023: when requests came and how many tokens they had, without any text."""
