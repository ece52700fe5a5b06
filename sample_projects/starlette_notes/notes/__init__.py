"""Notes that a language model can summarise, and that are found by what they mean."""
