"""The books, how they are found, and the conversation about them."""
