"""What travels between client and service, defined once for both: pure, without I/O or a clock."""
