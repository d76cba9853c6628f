"""Keys, the original's box, the signed envelope: all of smfs that touches a primitive."""
