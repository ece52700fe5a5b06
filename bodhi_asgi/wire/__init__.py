"""What several wire formats have in common: options with their ranges, limits, usage, how parameters are refused."""
