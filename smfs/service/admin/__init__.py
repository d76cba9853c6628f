"""What an operator does to the database: blocking, over one connection, beside the service."""
