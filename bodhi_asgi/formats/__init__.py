"""Wire formats: each dialect translates directly to and from the neutral messages and knows no other dialect."""
