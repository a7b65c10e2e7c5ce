"""Who may do what: ACL files."""
