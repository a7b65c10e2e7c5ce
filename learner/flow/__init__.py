"""The flow: how much of its play each actor may have unconsumed, and whether more will come."""
