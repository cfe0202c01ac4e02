"""Layer 9: `fit`, from a table to an honestly scored model; candidates, protocol, bundle."""
