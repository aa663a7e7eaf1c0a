"""iPinYou: auctions with their winning prices, for exact checks of bidding code."""
