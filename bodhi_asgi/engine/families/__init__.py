"""How families of models write thoughts and tool calls: one table, read by parser, constraint and template."""
