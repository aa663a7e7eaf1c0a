"""Vidur's A100 tables: times of a Llama-2-7B layer's operators and of sends between two GPUs."""
