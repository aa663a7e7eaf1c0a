"""Pre-rankers by the names that configurations use, with the settings they are measured at."""

from __future__ import annotations

from .prerank.als import ALS
from .prerank.base import PreRanker
from .prerank.bigraph import BiGraph
from .prerank.ease import Ease
from .prerank.gfcf import GFCF
from .prerank.gmf import GMF
from .prerank.itemcf import ItemCF
from .prerank.lightgcn import LightGCN
from .prerank.llr import LogLikelihoodRatio
from .prerank.node2vec import Node2Vec
from .prerank.popularity import Popularity
from .prerank.rp3 import RP3Beta
from .prerank.swing import Swing
from .prerank.usercf import UserCF
from .prerank.word2vec import Word2Vec

MODELS: dict[str, PreRanker] = {
    "popularity": Popularity(),
    "popularity-everywhere": Popularity("all"),
    "gmf": GMF(),
    "itemcf-iuf": ItemCF("iuf"),
    "itemcf-rating": ItemCF("rating"),
    "itemcf-cosine": ItemCF("cosine"),
    "itemcf-iou": ItemCF("jaccard", "mean"),
    "usercf": UserCF(),
    "swing": Swing(),
    "bi-graph": BiGraph(),
    "llr": LogLikelihoodRatio(),
    "ease": Ease(),
    "rp3beta": RP3Beta(),
    "gf-cf": GFCF(),
    "als": ALS(),
    "word2vec": Word2Vec(),
    "node2vec": Node2Vec(),
    "lightgcn": LightGCN(),
}
