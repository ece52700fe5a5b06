"""How the embedded demo model is made: generated conversations, a small network, a GGUF file. Needs torch and gguf.

``python -m demo_model`` goes from nothing to ``bodhi_asgi/demo_model/demo.gguf``; nothing here is needed at run time.
"""
