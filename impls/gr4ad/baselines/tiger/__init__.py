"""TIGER: an encoder-decoder over the semantic ids of the history (Rajput et al. 2023), with beam search over ids.

Like T5 in what matters: RMSNorm before each part, maps without bias, ReLU, one table a level for reading and for
writing. Unlike it, places are learned vectors, of the event counted from the latest and of the level within its id, and
no user token stands in front. It is trained on baskets as the other arms are: what follows a history is one basket,
whose items count equally.
"""
