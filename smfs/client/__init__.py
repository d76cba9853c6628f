"""The client of a Secret Manager service, and the view of a node's space upon it."""
