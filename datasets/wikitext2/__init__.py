"""WikiText-2: passages of English Wikipedia articles, long enough to be prompts."""
