"""Pre-rankers: many cheap, diverse recommenders behind one interface (OPDAI, hybrid pre-ranking)."""
