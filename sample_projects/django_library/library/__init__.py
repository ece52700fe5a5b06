"""A library with a catalogue for everybody, and a librarian made of a language model for those who sign in."""
