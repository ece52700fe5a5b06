"""The Hugging Face hub: what a reference means, what the hub has, and how one file comes into the cache."""
