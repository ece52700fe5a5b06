"""A helpdesk whose assistant reads the tickets by itself, and changes none without a person's word."""
