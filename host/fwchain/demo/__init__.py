"""`make demo`: a network of real processes whose boards update themselves, each step awaited and checked."""
