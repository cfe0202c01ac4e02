"""Layer 8: the verbs. Each builds objects from names and hands them to the layers below."""
