"""Transfer learning of materials properties; see https://github.com/epitaxy/epitaxy."""
