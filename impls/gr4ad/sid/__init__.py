"""UA-SID, the unified advertisement semantic id (§1): item vectors, and the tokenizers that make SIDs of them."""
