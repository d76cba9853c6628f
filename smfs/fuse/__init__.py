"""Upcall to tree call, error to errno, mounting and unmounting; the only importer of pyfuse3."""
