"""The cascade: two towers retrieve, trees pre-rank, a DIN ranks. Read config, inputs, towers, features, prerank, rank,
model, fitting."""
