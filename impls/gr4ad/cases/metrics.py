"""What the cases of quality measure: lists and slices of their targets, ids, costs. `measures.py` defines them."""

from __future__ import annotations

from remeasure.contracts import Metric

HR_10 = Metric("HR@10", "", better="higher", kind="quality", per="user")
HR_50 = Metric("HR@50", "", better="higher", kind="quality", per="user")
NDCG_10 = Metric("NDCG@10", "", better="higher", kind="quality", per="user")
VR_50 = Metric("VR@50", "", better="higher", kind="quality", per="user")
VR_50_RAW = Metric("VR@50, uncapped", "", better="higher", kind="quality", per="user")

COLD = "user with a cold target"
HR_10_COLD = Metric("HR@10, cold", "", better="higher", kind="quality", per=COLD)
NDCG_10_COLD = Metric("NDCG@10, cold", "", better="higher", kind="quality", per=COLD)

EVERY = "customer"
HR_10_EVERY = Metric("HR@10, all items", "", better="higher", kind="quality", per=EVERY)
VR_50_EVERY = Metric("VR@50, all items", "", better="higher", kind="quality", per=EVERY)

FIT = Metric("fit CPU", "s", better="lower", kind="time")
SERVE = Metric("CPU of all lists", "s", better="lower", kind="time")

CPR = Metric("items an id (Cpr)", "", better="lower", kind="count", per="seed")
COLLIDED = Metric("collided share", "%", better="lower", kind="count", per="seed")
EXCESS = Metric("excess", "%", better="lower", kind="count", per="seed")
UTIL = Metric("ids in use", "‰", better="higher", kind="count", per="seed")
LARGEST = Metric("largest bucket", "", better="lower", kind="count", per="seed")
BALANCE = Metric("largest cluster / mean", "×", better="lower", kind="count", per="seed")
"""Over distinct vectors, of the two first levels the worse."""
EMPTY = Metric("empty clusters", "", better="lower", kind="count", per="seed")

REVENUE = Metric("revenue@10", "", better="higher", kind="quality", per="user")
"""As a share of what the best lists of the simulated world earn."""
