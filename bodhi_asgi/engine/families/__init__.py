"""How each family of models writes its thoughts and its tool calls: one table, read by parser, constraint and template."""
