"""How work is cut, fed and spread: sources, blocks, threads, plans; no mathematics."""
