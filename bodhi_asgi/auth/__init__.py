"""Who is at the door: from credentials and the host's own users to a caller. Nobody gets in by default."""
