"""What things cost on the simulated A100s: times of blocks from measured tables, transfers, loading, memory."""
