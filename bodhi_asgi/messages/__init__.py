"""The one inner language of inference: what is asked of a model and what it answers, in no provider's words.

Dialects translate to and from these values; the engine reads them. Frozen values of plain data, so that they cross the
engine's socket as JSON and can be compared in tests.
"""
