"""What has happened, told to whoever wants to know."""
