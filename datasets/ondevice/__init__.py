"""On-device workloads, declared: agents, groups of models, prompt lengths, grids of prompts and memory pressure."""
