"""Pure functions of arrays, and the small stateful parts (optimizers, moments) that save and restore themselves."""
