"""The command line: one more door. It decodes arguments, calls one verb as ``Caller.system()``, and prints the answer.

Whatever is heavy is imported inside the commands, so that ``bodhi --help`` answers at once.
"""
