"""Sound on disk and in memory: what it is, its samples, its pauses."""
