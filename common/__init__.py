"""Code that actors and learner share: keys, wire formats, specs, the policy's forward pass, errors, processes."""
