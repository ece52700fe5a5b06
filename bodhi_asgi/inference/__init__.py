"""Speech: the verbs that make a model answer."""
