"""The models a server offers: names, files, and who may see and use them."""
